package riverrunner

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements are this package's SQL. Of River's tables it reads a few columns, and
// writes none.
type statements struct {
	migration                           []string
	enqueue, enqueueAgain               string
	dropWaiting, unfinished             string
	sign, leave, lock, take, migrateKey string
	orphans, reclaim                    string
}

// migration creates the tables. Tasks of parts are looked at by tenant and job, the
// others when they are due.
var migration = []string{
	`CREATE TABLE IF NOT EXISTS @.bulkexport_task (
		id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
		kind text NOT NULL,
		job text NOT NULL,
		tenant text NOT NULL,
		part integer NOT NULL,
		failures integer NOT NULL DEFAULT 0,
		due timestamptz NOT NULL DEFAULT now(),
		UNIQUE (job, kind, part, tenant))`,
	`CREATE INDEX IF NOT EXISTS bulkexport_task_part ON @.bulkexport_task (tenant, job, id) WHERE kind = 'part'`,
	`CREATE INDEX IF NOT EXISTS bulkexport_task_due ON @.bulkexport_task (due) WHERE kind <> 'part'`,
	`CREATE TABLE IF NOT EXISTS @.bulkexport_node (
		id text PRIMARY KEY,
		workers integer NOT NULL,
		seen timestamptz NOT NULL DEFAULT now())`,
}

// enqueue puts a finish off while parts of its job wait, which it would find open:
// there is one for each part that ends, and each reads all parts. One that waits for
// that is hastened when the last part has begun. Rows that wait already are not
// touched: a sweep enqueues them all, time and again.
const enqueue = `WITH given AS MATERIALIZED (
	SELECT *, t.kind = 'finish' AND EXISTS (SELECT FROM @.bulkexport_task p
		WHERE p.kind = 'part' AND p.tenant = t.tenant AND p.job = t.job) AS early
	FROM unnest($1::text[], $2::text[], $3::text[], $4::int[]) WITH ORDINALITY t (kind, job, tenant, part, place)),
hastened AS (
	UPDATE @.bulkexport_task old SET due = now() FROM given t
	WHERE t.kind = 'finish' AND NOT t.early AND old.failures = 0 AND old.due > now()
		AND old.job = t.job AND old.kind = t.kind AND old.part = t.part AND old.tenant = t.tenant)
INSERT INTO @.bulkexport_task (kind, job, tenant, part, due)
SELECT t.kind, t.job, t.tenant, t.part, now() + make_interval(secs => CASE WHEN t.early THEN %[1]d ELSE 0 END)
FROM given t
WHERE NOT EXISTS (
	SELECT FROM @.river_job j WHERE j.state = 'available' AND j.kind = 'bulkexport_' || t.kind
		AND j.args @> jsonb_build_object('job', t.job, 'part', t.part, 'tenant', t.tenant))
ORDER BY t.place
ON CONFLICT DO NOTHING`

// finishPause is how long, in seconds.
const finishPause = 5

const enqueueAgain = `INSERT INTO @.bulkexport_task AS old (kind, job, tenant, part, failures, due)
VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6))
ON CONFLICT (job, kind, part, tenant) DO UPDATE SET
	failures = excluded.failures, due = greatest(old.due, excluded.due)`

// unfinished finds what River has of a job, and may be cancelled.
const unfinished = `SELECT id FROM @.river_job
WHERE args @> jsonb_build_object('job', $1::text) AND kind <> 'bulkexport_delete'
	AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled')`

// orphans finds what is with a node that gives no sign, and nobody has seen to yet:
// that is noted by cancelling it, which also tells the node if it should wake up.
const orphans = `SELECT j.id FROM @.river_job j
WHERE j.state = 'running' AND NOT j.metadata ? 'cancel_attempted_at' AND NOT EXISTS (
	SELECT FROM @.bulkexport_node n
	WHERE n.id = j.attempted_by[array_upper(j.attempted_by, 1)] AND n.seen > now() - interval '%[1]d seconds')
LIMIT 100`

const reclaim = `INSERT INTO @.bulkexport_task (kind, job, tenant, part)
SELECT substr(kind, length('bulkexport_') + 1), args->>'job', args->>'tenant', (args->>'part')::int
FROM @.river_job WHERE id = ANY($1)
ON CONFLICT DO NOTHING`

const sign = `INSERT INTO @.bulkexport_node (id, workers) VALUES ($1, $2)
ON CONFLICT (id) DO UPDATE SET workers = excluded.workers, seen = now()`

// take takes out what is to be handed to River, in the order in which it is.
//
// Of parts there are as many with River as the nodes have workers, and half as many
// again, so that nobody has to wait. Who is next is told by how many parts a tenant
// has, and would have: so tenants take turns, whatever they have waiting. What a dead
// node holds does not count. jobs are found by going through the index from one to
// the next, since one may have more tasks than all others have jobs.
const take = `WITH RECURSIVE
active AS MATERIALIZED (
	SELECT j.args->>'tenant' AS tenant, j.args->>'job' AS job, count(*) AS n
	FROM @.river_job j
	WHERE j.queue = 'parts' AND (j.state = 'available' OR j.state = 'running' AND EXISTS (
		SELECT FROM @.bulkexport_node n
		WHERE n.id = j.attempted_by[array_upper(j.attempted_by, 1)] AND n.seen > now() - interval '%[1]d seconds'))
	GROUP BY 1, 2),
room AS MATERIALIZED (
	SELECT greatest(0, least(
		(SELECT coalesce(ceil(1.5 * sum(workers)), 0) FROM @.bulkexport_node
			WHERE seen > now() - interval '%[1]d seconds'),
		nullif($3::int, 0)) - (SELECT coalesce(sum(n), 0) FROM active))::int AS n),
jobs AS (
	(SELECT tenant, job FROM @.bulkexport_task WHERE kind = 'part' ORDER BY tenant, job LIMIT 1)
	UNION ALL
	SELECT next.tenant, next.job FROM jobs, LATERAL (
		SELECT t.tenant, t.job FROM @.bulkexport_task t
		WHERE t.kind = 'part' AND (t.tenant, t.job) > (jobs.tenant, jobs.job)
		ORDER BY t.tenant, t.job LIMIT 1) next),
of_jobs AS (
	SELECT t.id, t.tenant FROM jobs CROSS JOIN LATERAL (
		SELECT id, tenant FROM @.bulkexport_task
		WHERE kind = 'part' AND tenant = jobs.tenant AND job = jobs.job AND due <= now()
		ORDER BY id
		LIMIT (SELECT greatest(0, least(room.n, nullif($1::int, 0) - coalesce(
			(SELECT n FROM active a WHERE a.tenant = jobs.tenant AND a.job = jobs.job), 0))) FROM room)) t),
ranked AS (
	SELECT id, row_number() OVER (PARTITION BY tenant ORDER BY id) + coalesce(
		(SELECT sum(n) FROM active a WHERE a.tenant = of_jobs.tenant), 0) AS rank
	FROM of_jobs),
parts AS (
	SELECT id, rank FROM ranked WHERE rank <= coalesce(nullif($2::int, 0), rank)
	ORDER BY rank, id LIMIT (SELECT n FROM room)),
others AS (
	SELECT id, 0 AS rank FROM @.bulkexport_task WHERE kind <> 'part' AND due <= now() LIMIT 1000),
chosen AS MATERIALIZED (SELECT * FROM parts UNION ALL SELECT * FROM others),
taken AS (
	DELETE FROM @.bulkexport_task WHERE id = ANY (ARRAY(SELECT id FROM chosen))
	RETURNING id, kind, job, tenant, part, failures)
SELECT t.kind, t.job, t.tenant, t.part, t.failures FROM taken t JOIN chosen USING (id) ORDER BY chosen.rank, id`

// statementsIn returns the statements for a schema.
func statementsIn(schema string) statements {
	quoted := pgx.Identifier{schema}.Sanitize()
	in := func(sql string) string { return strings.ReplaceAll(sql, "@.", quoted+".") }
	lock := func(what string) string {
		literal := strings.ReplaceAll(schema, "'", "''")
		return fmt.Sprintf("SELECT pg_advisory_xact_lock(hashtextextended('bulkexport %s %s', 0))", what, literal)
	}
	// To plan, or even to compile, the statement that follows would take longer than
	// the statement itself.
	planOnce := ", set_config('jit', 'off', true), set_config('plan_cache_mode', 'force_generic_plan', true)"
	s := statements{
		enqueue:      in(fmt.Sprintf(enqueue, finishPause)),
		enqueueAgain: in(enqueueAgain),
		dropWaiting:  in("DELETE FROM @.bulkexport_task WHERE job = $1 AND kind <> 'delete'"),
		unfinished:   in(unfinished),
		sign:         in(sign),
		leave:        in("DELETE FROM @.bulkexport_node WHERE id = $1 OR seen < now() - interval '1 day'"),
		lock:         lock("dispatch") + planOnce,
		migrateKey:   lock("migrate"),
		take:         in(fmt.Sprintf(take, int(aliveFor.Seconds()))),
		orphans:      in(fmt.Sprintf(orphans, int(aliveFor.Seconds()))),
		reclaim:      in(reclaim),
	}
	for _, statement := range append([]string{"CREATE SCHEMA IF NOT EXISTS " + quoted}, migration...) {
		s.migration = append(s.migration, in(statement))
	}
	return s
}
