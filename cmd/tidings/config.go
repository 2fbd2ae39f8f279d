package main

import (
	"fmt"
	"io"
	"reflect"
	"regexp"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

type configCommand struct {
	settings
}

// masked stands for a secret.
const masked = "********"

func (c configCommand) Run(env environment, l *layers) error {
	s := c.withDefaults()
	if err := printSettings(env.Stdout, s, l.sources); err != nil {
		return err
	}
	return s.validate()
}

// printSettings writes a configuration file that means the same, but for the
// secrets, and says where each value comes from.
func printSettings(w io.Writer, s settings, sources map[string]string) error {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := field.Tag.Get("name")
		if name == "config" {
			continue // it would name itself
		}
		value := shown(v.Field(i).Interface())
		if _, secret := field.Tag.Lookup("secret"); secret && !v.Field(i).IsZero() {
			value = masked
		}
		text, err := yaml.Marshal(map[string]any{name: value})
		if err != nil {
			return err
		}
		source := sources[name]
		if source == "" {
			source = "default"
		}
		first, rest, _ := strings.Cut(string(text), "\n")
		if _, err := fmt.Fprintf(w, "%-44s # %s\n%s", first, source, rest); err != nil {
			return err
		}
	}
	return nil
}

// userInfo is the part of a URL that may hold a password.
var userInfo = regexp.MustCompile(`//[^/@,]*@`)

// shown is a value as the configuration file has it.
func shown(value any) any {
	switch value := value.(type) {
	case time.Duration:
		return value.String()
	case size:
		return value.String()
	case string:
		return userInfo.ReplaceAllString(value, "//"+masked+"@")
	default:
		return value
	}
}
