package main

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
)

//go:embed schema.sql
var schema string

// idleInTransaction is how long PostgreSQL keeps the row of a relay that is
// gone without a word, as when its machine has lost its power. It is longer
// than a step of the relay, which has its answer by then.
const idleInTransaction = "30s"

// openDatabase opens a database and makes the tables that are missing.
func openDatabase(ctx context.Context, url string) (*sql.DB, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["idle_in_transaction_session_timeout"] = idleInTransaction
	db := stdlib.OpenDB(*config)
	if _, err = db.ExecContext(ctx, schema); err != nil {
		_ = db.Close() // the error of the tables says more
		return nil, fmt.Errorf("make the tables: %w", err)
	}
	return db, nil
}

// placeOrder is the business: an order and what its customer is told are
// written together or not at all.
func placeOrder(ctx context.Context, db *sql.DB, number, customer string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // does nothing after the commit
	if err = emit(ctx, tx, "user/"+customer, map[string]any{
		"type": "order.placed", "title": "Thank you for your order", "link": "/orders/" + number,
	}); err != nil {
		return err
	}
	if _, err = tx.ExecContext(ctx, `INSERT INTO orders (number, customer) VALUES ($1, $2)`, number, customer); err != nil {
		return err
	}
	return tx.Commit()
}

// emit writes an event for a recipient into the outbox, in the transaction of
// what it tells about. Events of transactions that follow each other keep their
// order for each recipient; those of transactions at the same moment have none.
func emit(ctx context.Context, tx *sql.Tx, recipient string, event map[string]any) error {
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	event["id"] = id.String()
	event["recipient"] = recipient
	event["createdAt"] = time.Now() // a ttl counts from here, however long it waits
	body, err := json.Marshal(event)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO outbox (id, recipient, event) VALUES ($1, $2, $3)`, id.String(), recipient, body)
	return err
}
