#include <stdint.h>

typedef struct sqlite3 sqlite3;

enum { bulkexport_null, bulkexport_integer, bulkexport_real, bulkexport_text, bulkexport_blob };

// An argument; text and blobs are that many bytes of the data.
typedef struct {
  int64_t number;
  int64_t from;
  double real;
  int kind;
} bulkexport_arg;

typedef struct {
  int32_t lengths[2];
} bulkexport_row;

enum {
  bulkexport_done,  // there are no more rows
  bulkexport_full,  // there is no room for the next row, which needs that much
  bulkexport_failed // nothing is to be used
};

typedef struct {
  int64_t used, needed;
  int rows, state;
} bulkexport_result;

const char *bulkexport_sqlite_sourceid(void);
void bulkexport_sqlite_interrupt(sqlite3 *db);
int bulkexport_sqlite_busy_timeout(sqlite3 *db, int ms);
bulkexport_result bulkexport_sqlite_read(sqlite3 *db, const char *query, int query_len, const bulkexport_arg *args,
                                         int args_len, const char *data, char *bytes, int64_t bytes_len,
                                         bulkexport_row *rows, int rows_len);
