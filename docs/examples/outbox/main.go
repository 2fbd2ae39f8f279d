// Command outbox emits what a business transaction has to tell if, and only if,
// that transaction commits: the event is a row beside its other rows, and a
// relay publishes it afterwards, whatever dies in between.
//
//	go run ./docs/examples/outbox -database postgres://127.0.0.1/shop -order 4711 -customer ann
//	go run ./docs/examples/outbox -database postgres://127.0.0.1/shop -tidings http://127.0.0.1:8080 -token-file token
//
// The first line places an order, the second one relays until it is told to
// stop. schema.sql has the table, outbox.go what the business does, relay.go
// the relay, tidings.go the two requests that it makes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	database := flag.String("database", "postgres://127.0.0.1/postgres", "the PostgreSQL database of the business")
	order := flag.String("order", "", "place an order of this number and end")
	customer := flag.String("customer", "ann", "whose order it is")
	server := flag.String("tidings", "http://127.0.0.1:8080", "the server to relay to")
	tokenFile := flag.String("token-file", "token", "a file that holds the token of an emitter")
	flag.Parse()
	var err error
	if *order != "" {
		err = place(context.Background(), *database, *order, *customer)
	} else {
		err = relay(context.Background(), *database, Tidings{URL: strings.TrimRight(*server, "/"), Token: fileToken(*tokenFile), Client: http.DefaultClient})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "outbox:", err)
		os.Exit(1)
	}
}

func place(ctx context.Context, database, order, customer string) error {
	db, err := openDatabase(ctx, database)
	if err != nil {
		return err
	}
	return errors.Join(placeOrder(ctx, db, order, customer), db.Close())
}

func relay(ctx context.Context, database string, tidings Tidings) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := openDatabase(ctx, database)
	if err != nil {
		return err
	}
	r := Relay{DB: db, Tidings: tidings, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))}
	r.Run(ctx)
	return db.Close()
}

// fileToken reads the token each time, so that another program may renew it.
func fileToken(path string) func() (string, error) {
	return func() (string, error) {
		token, err := os.ReadFile(path) //nolint:gosec // whoever starts the relay names it
		return strings.TrimSpace(string(token)), err
	}
}
