// Command emit is a Go program that emits an event without any HTTP: it appends
// to the log itself, and the answer is the place of the event.
//
//	go run ./docs/examples/emit -nats nats://127.0.0.1:4222 -to user/ann -title Hello
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"tidings/notifications"
	"tidings/persistence"
)

func main() {
	url := flag.String("nats", "nats://127.0.0.1:4222", "the NATS server that keeps the log")
	to := flag.String("to", "user/ann", "user/ID, role/NAME, group/NAME or everyone")
	title := flag.String("title", "Hello", "one line for people")
	flag.Parse()
	receipt, err := emit(context.Background(), *url, *to, *title)
	if err != nil {
		fmt.Fprintln(os.Stderr, "emit:", err)
		os.Exit(1)
	}
	fmt.Println(receipt.Position)
}

func emit(ctx context.Context, url, to, title string) (notifications.Receipt, error) {
	recipient, err := notifications.ParseRecipient(to)
	if err != nil {
		return notifications.Receipt{}, err
	}
	nats, err := persistence.Connect(persistence.ConnectOptions{URL: url})
	if err != nil {
		return notifications.Receipt{}, err
	}
	events := notifications.NewCommands(notifications.CommandsOptions{Log: persistence.NewAppender(nats, nil)})
	receipt, err := events.Emit(ctx, notifications.DefaultHub, notifications.Event{Recipient: recipient, Title: title})
	return receipt, errors.Join(err, nats.Close(ctx))
}
