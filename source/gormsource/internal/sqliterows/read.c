//go:build cgo && linux && !bulkexport_nocgo

#include "read.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

// What is needed of SQLite's interface, which does not change. It is weak so that
// a program without the driver links as well; all of it is NULL then.
#define WEAK __attribute__((weak))

typedef struct sqlite3_stmt sqlite3_stmt;
typedef void (*destructor)(void *);

WEAK extern const char *sqlite3_sourceid(void);
WEAK extern void sqlite3_interrupt(sqlite3 *);
WEAK extern int sqlite3_busy_timeout(sqlite3 *, int ms);
WEAK extern int sqlite3_prepare_v2(sqlite3 *, const char *, int, sqlite3_stmt **, const char **tail);
WEAK extern int sqlite3_finalize(sqlite3_stmt *);
WEAK extern int sqlite3_step(sqlite3_stmt *);
WEAK extern int sqlite3_stmt_readonly(sqlite3_stmt *);
WEAK extern int sqlite3_bind_parameter_count(sqlite3_stmt *);
WEAK extern int sqlite3_bind_null(sqlite3_stmt *, int);
WEAK extern int sqlite3_bind_int64(sqlite3_stmt *, int, long long);
WEAK extern int sqlite3_bind_double(sqlite3_stmt *, int, double);
WEAK extern int sqlite3_bind_text64(sqlite3_stmt *, int, const char *, unsigned long long, destructor, unsigned char);
WEAK extern int sqlite3_bind_blob64(sqlite3_stmt *, int, const void *, unsigned long long, destructor);
WEAK extern int sqlite3_column_count(sqlite3_stmt *);
WEAK extern const char *sqlite3_column_decltype(sqlite3_stmt *, int);
WEAK extern int sqlite3_column_type(sqlite3_stmt *, int);
WEAK extern long long sqlite3_column_int64(sqlite3_stmt *, int);
WEAK extern const unsigned char *sqlite3_column_text(sqlite3_stmt *, int);
WEAK extern const void *sqlite3_column_blob(sqlite3_stmt *, int);
WEAK extern int sqlite3_column_bytes(sqlite3_stmt *, int);

enum { OK = 0, ROW = 100, DONE = 101 };
enum { INTEGER = 1, REAL = 2, TEXT = 3, BLOB = 4 };
enum { UTF8 = 1 };

const char *bulkexport_sqlite_sourceid(void) {
  int linked = sqlite3_sourceid && sqlite3_interrupt && sqlite3_busy_timeout && sqlite3_prepare_v2 &&
               sqlite3_finalize && sqlite3_step && sqlite3_stmt_readonly && sqlite3_bind_parameter_count &&
               sqlite3_bind_null && sqlite3_bind_int64 && sqlite3_bind_double && sqlite3_bind_text64 &&
               sqlite3_bind_blob64 && sqlite3_column_count && sqlite3_column_decltype && sqlite3_column_type &&
               sqlite3_column_int64 && sqlite3_column_text && sqlite3_column_blob && sqlite3_column_bytes;
  return linked ? sqlite3_sourceid() : "";
}

void bulkexport_sqlite_interrupt(sqlite3 *db) { sqlite3_interrupt(db); }

static int bind(sqlite3_stmt *stmt, int i, const bulkexport_arg *arg, const char *data) {
  static const char empty[1]; // NULL would bind NULL
  const char *bytes = arg->number ? data + arg->from : empty;
  switch (arg->kind) {
  case bulkexport_integer:
    return sqlite3_bind_int64(stmt, i, arg->number);
  case bulkexport_real:
    return sqlite3_bind_double(stmt, i, arg->real);
  case bulkexport_text:
    return sqlite3_bind_text64(stmt, i, bytes, arg->number, 0, UTF8);
  case bulkexport_blob:
    return sqlite3_bind_blob64(stmt, i, bytes, arg->number, 0);
  }
  return sqlite3_bind_null(stmt, i);
}

// Columns of these types the driver turns into others than they are stored as.
static int converted(const char *type) {
  return type && (!strcasecmp(type, "timestamp") || !strcasecmp(type, "datetime") || !strcasecmp(type, "date") ||
                  !strcasecmp(type, "boolean"));
}

// prepare returns NULL for what is not one SELECT of two columns as they are.
static sqlite3_stmt *prepare(sqlite3 *db, const char *query, int query_len, const bulkexport_arg *args, int args_len,
                             const char *data) {
  sqlite3_stmt *stmt = 0;
  const char *tail = 0;
  int ok = sqlite3_prepare_v2(db, query, query_len, &stmt, &tail) == OK && stmt && sqlite3_stmt_readonly(stmt) &&
           sqlite3_column_count(stmt) == 2 && sqlite3_bind_parameter_count(stmt) == args_len &&
           !converted(sqlite3_column_decltype(stmt, 0)) && !converted(sqlite3_column_decltype(stmt, 1));
  for (; ok && tail < query + query_len; tail++) {
    ok = isspace((unsigned char)*tail) || *tail == ';';
  }
  for (int i = 0; ok && i < args_len; i++) {
    ok = bind(stmt, i + 1, &args[i], data) == OK;
  }
  if (!ok) {
    sqlite3_finalize(stmt);
    return 0;
  }
  return stmt;
}

enum { decimal_size = 20 };

// decimal writes a number to the end of text and returns where it begins.
static const char *decimal(long long number, char text[decimal_size]) {
  unsigned long long rest = number < 0 ? -(unsigned long long)number : (unsigned long long)number;
  char *at = text + decimal_size;
  do {
    *--at = '0' + rest % 10;
    rest /= 10;
  } while (rest);
  if (number < 0) {
    *--at = '-';
  }
  return at;
}

typedef struct {
  const char *bytes;
  int len;
} slice;

// column returns what the driver would. It returns 0 if it does not know.
static int column(sqlite3_stmt *stmt, int i, slice *value, char text[decimal_size]) {
  *value = (slice){0};
  switch (sqlite3_column_type(stmt, i)) {
  case INTEGER:
    value->bytes = decimal(sqlite3_column_int64(stmt, i), text);
    value->len = text + decimal_size - value->bytes;
    return 1;
  case REAL:
    return 0;
  case TEXT:
    value->bytes = (const char *)sqlite3_column_text(stmt, i);
    break;
  case BLOB:
    value->bytes = sqlite3_column_blob(stmt, i);
    break;
  }
  value->len = sqlite3_column_bytes(stmt, i);
  return value->bytes || !value->len; // else no memory
}

static bulkexport_result rows_of(sqlite3_stmt *stmt, char *bytes, int64_t bytes_len, bulkexport_row *rows,
                                 int rows_len) {
  bulkexport_result result = {.state = bulkexport_failed};
  char text[2][decimal_size];
  slice first, second;
  for (;;) {
    int code = sqlite3_step(stmt);
    if (code == DONE) {
      result.state = bulkexport_done;
    }
    if (code != ROW || !column(stmt, 0, &first, text[0]) || !column(stmt, 1, &second, text[1])) {
      return result;
    }
    result.needed = (int64_t)first.len + second.len;
    if (result.rows == rows_len || result.needed > bytes_len - result.used) {
      result.state = bulkexport_full;
      return result;
    }
    if (first.len) {
      memcpy(bytes + result.used, first.bytes, first.len);
    }
    if (second.len) {
      memcpy(bytes + result.used + first.len, second.bytes, second.len);
    }
    result.used += result.needed;
    rows[result.rows++] = (bulkexport_row){{first.len, second.len}};
  }
}

int bulkexport_sqlite_busy_timeout(sqlite3 *db, int ms) {
  sqlite3_stmt *stmt = 0;
  int was = 0;
  if (sqlite3_prepare_v2(db, "PRAGMA busy_timeout", -1, &stmt, 0) == OK && sqlite3_step(stmt) == ROW) {
    was = sqlite3_column_int64(stmt, 0);
  }
  sqlite3_finalize(stmt);
  if (was != ms) {
    sqlite3_busy_timeout(db, ms);
  }
  return was;
}

bulkexport_result bulkexport_sqlite_read(sqlite3 *db, const char *query, int query_len, const bulkexport_arg *args,
                                         int args_len, const char *data, char *bytes, int64_t bytes_len,
                                         bulkexport_row *rows, int rows_len) {
  bulkexport_result result = {.state = bulkexport_failed};
  int patience = bulkexport_sqlite_busy_timeout(db, 0); // it waits in a way that nothing interrupts
  sqlite3_stmt *stmt = prepare(db, query, query_len, args, args_len, data);
  if (stmt) {
    result = rows_of(stmt, bytes, bytes_len, rows, rows_len);
    sqlite3_finalize(stmt);
  }
  if (patience) {
    sqlite3_busy_timeout(db, patience);
  }
  return result;
}
