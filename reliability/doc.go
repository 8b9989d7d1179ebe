// Package reliability has tests only. They run whole exports with the real
// parts, mostly the example server in processes of its own, over HTTP, and do to
// them what happens in operation:
//
//   - processes are killed (kill -9) at any moment, frozen beyond their lease
//     and thawed, on SQLite and on PostgreSQL with two processes;
//   - the disk is full or read-only; PostgreSQL is stopped; connections are cut,
//     or swallow what is sent; the clock jumps; clients go away.
//
// What has to hold each time: the files have the names and bytes of an
// undisturbed export, progress and transactionTime never go back, a job that
// cannot be completed ends with a reason for the client, and after DELETE
// nothing is left.
//
// The ordinary run kills about ten times on each database. For more:
//
//	BULKEXPORT_KILLS=100 go test ./reliability -run Kill -v
//
// BULKEXPORT_KILLS_SEED repeats the choices of an earlier run, though not the
// moments at which they meet the servers.
package reliability
