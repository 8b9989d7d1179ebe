package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5"
)

// Standby starts a hot standby of the server: one that streams its WAL, replays it
// and can be read from meanwhile. Its cluster is new and as throwaway as that of
// [Start]; end it with [Server.Stop]. ctx bounds only the start, which takes a second
// or two.
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	dir, err := dataDir(s.attr)
	if err != nil {
		return nil, err
	}
	standby := &Server{bin: s.bin, dir: dir, attr: s.attr, settings: s.settings}
	err = standby.copyOf(ctx, s)
	if err == nil {
		err = standby.startOn(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return standby, nil
}

// copyOf makes the cluster from that of a server that runs, with the settings that
// have it stream from there.
func (s *Server) copyOf(ctx context.Context, primary *Server) error {
	cmd := s.command(ctx, "pg_basebackup", "-D", s.data(), "-d", primary.URL().String(), "-R",
		"--wal-method=stream", "--checkpoint=fast", "--no-sync")
	// Where the server is a link, only some of its programs may have one beside it.
	if server, err := filepath.EvalSymlinks(filepath.Join(s.bin, "postgres")); err == nil {
		cmd.Path = filepath.Join(filepath.Dir(server), "pg_basebackup")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("pg_basebackup: %w\n%s", err, out)
	}
	return nil
}

// PauseReplay has a standby replay nothing from when it returns until
// [Server.ResumeReplay]: it goes on to receive, and can be read from as it is.
func (s *Server) PauseReplay(ctx context.Context) error {
	const paused = `SELECT pg_get_wal_replay_pause_state() = 'paused'`
	return s.ask(ctx, `SELECT pg_wal_replay_pause()`, paused)
}

// ResumeReplay has a standby go on to replay.
func (s *Server) ResumeReplay(ctx context.Context) error {
	return s.ask(ctx, `SELECT pg_wal_replay_resume()`, `SELECT NOT pg_is_wal_replay_paused()`)
}

// AwaitReplay returns when a standby has replayed all that is committed on its primary
// by now.
func (s *Server) AwaitReplay(ctx context.Context, primary *Server) error {
	conn, err := pgx.Connect(ctx, primary.URL().String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	// A transaction that comes after all of these, and is written at once.
	const last = `SELECT txid_current() FROM pg_logical_emit_message(true, '', '')`
	var id int64
	if err := conn.QueryRow(ctx, last).Scan(&id); err != nil {
		return err
	}
	return s.ask(ctx, "", fmt.Sprintf(`SELECT txid_snapshot_xmax(txid_current_snapshot()) > %d`, id))
}

// ask runs a statement and then a query until it is true.
func (s *Server) ask(ctx context.Context, statement, query string) error {
	conn, err := pgx.Connect(ctx, s.URL().String())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var holds bool
		if err := conn.QueryRow(ctx, query).Scan(&holds); err != nil || holds {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
