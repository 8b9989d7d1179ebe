package gormsource

import (
	"context"
	"database/sql"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/stdlib"
)

// rowFunc takes the two columns of a row, which it may use until it returns.
// An error ends the read.
type rowFunc func(key, body []byte) error

// eachRow runs a query of two columns. Scanning is most of the cost of a read,
// so the columns are taken as the driver has them: from pgx without a single
// allocation, from database/sql with those of the driver.
func eachRow(ctx context.Context, conn *sql.Conn, query string, args []any, row rowFunc) error {
	native := false
	err := conn.Raw(func(driverConn any) error {
		if c, ok := driverConn.(*stdlib.Conn); ok {
			native = true
			return eachPgxRow(ctx, c.Conn(), query, args, row)
		}
		return nil
	})
	if err != nil || native {
		return err
	}
	return eachSQLRow(ctx, conn, query, args, row)
}

func onConn(ctx context.Context, pool *sql.DB, fn func(*sql.Conn) error) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	return fn(conn)
}

func eachSQLRow(ctx context.Context, conn *sql.Conn, query string, args []any, row rowFunc) error {
	rows, err := conn.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	var key, body sql.RawBytes
	for rows.Next() {
		if err := rows.Scan(&key, &body); err != nil {
			return err
		}
		if err := row(key, body); err != nil {
			return err
		}
	}
	return rows.Err()
}

// eachPgxRow asks for the text of every column, which is what JSON and keys
// are, but for bytea, whose text is hexadecimal. The extended protocol sends it
// as it is; under the simple one, which a host may have chosen for the sake of
// a connection pooler, it has to be decoded.
func eachPgxRow(ctx context.Context, conn *pgx.Conn, query string, args []any, row rowFunc) error {
	formats := pgx.QueryResultFormatsByOID{pgtype.ByteaOID: pgx.BinaryFormatCode}
	rows, err := conn.Query(ctx, query, append([]any{formats}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	decode := false
	if columns := rows.FieldDescriptions(); len(columns) == 2 {
		decode = columns[1].DataTypeOID == pgtype.ByteaOID && columns[1].Format == pgx.TextFormatCode
	}
	for rows.Next() {
		values := rows.RawValues()
		key, body := values[0], values[1]
		if decode {
			if body, err = decodeBytea(body); err != nil {
				return err
			}
		}
		if err := row(key, body); err != nil {
			return err
		}
	}
	return rows.Err()
}

// decodeBytea decodes text like \x7b7d in place.
func decodeBytea(text []byte) ([]byte, error) {
	if len(text) < 2 {
		return nil, nil
	}
	n, err := hex.Decode(text, text[2:])
	if err != nil {
		return nil, fmt.Errorf("decode bytea: %w", err)
	}
	return text[:n], nil
}
