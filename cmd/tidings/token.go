package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"tidings/roles"
)

type tokenCommand struct {
	User     string        `required:"" placeholder:"ID" help:"The user id (sub)."`
	Role     []string      `sep:"none" placeholder:"NAME" help:"A role; may be repeated."`
	Email    string        `help:"The e-mail address."`
	TTL      time.Duration `name:"ttl" default:"24h" help:"How long the token is good for."`
	Issuer   string        `help:"The iss claim."`
	Audience string        `help:"The aud claim."`

	Data       string `default:"data" placeholder:"DIR" help:"Data directory of a server in development, whose secret is used. Default ${default}."`
	Secret     string `xor:"secret" help:"The secret to sign with instead. Others can see it in the list of processes: prefer --secret-file."`
	SecretFile string `xor:"secret" placeholder:"FILE" help:"A file that holds the secret to sign with instead."`
}

func (c tokenCommand) Run(env environment) error {
	secret, err := c.secret()
	if err != nil {
		return err
	}
	token, err := roles.Mint(secret, roles.Grant{
		UserID: c.User, Email: c.Email, Roles: c.Role, TTL: c.TTL, Now: time.Now(), Issuer: c.Issuer, Audience: c.Audience,
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(env.Stdout, token)
	return err
}

func (c tokenCommand) secret() ([]byte, error) {
	switch {
	case c.Secret != "":
		return []byte(c.Secret), nil
	case c.SecretFile != "":
		return readSecret(c.SecretFile)
	}
	if info, err := os.Stat(c.Data); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("%s is no data directory: start `tidings serve --dev --data %[1]s`, or give --secret-file", c.Data)
	}
	return developmentSecret(c.Data)
}

// developmentSecret is the secret that a development server and its tools
// share. It is made by whoever needs it first.
func developmentSecret(dir string) ([]byte, error) {
	path := filepath.Join(dir, "dev-secret")
	secret, err := readSecret(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return secret, err
	}
	// A link is made whole or not at all, so two programs agree on one.
	draft, err := os.CreateTemp(dir, "dev-secret-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(draft.Name()) }() // the link stays
	_, err = draft.WriteString(roles.NewSecret() + "\n")
	if err = errors.Join(err, draft.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(draft.Name(), path); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	return readSecret(path)
}
