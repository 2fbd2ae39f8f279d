package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"

	"tidings/roles"
)

// layers finds the settings that no flag gives: in the environment, then in the
// configuration file.
type layers struct {
	env     environment
	file    map[string]any // nil until it has been read
	err     error          // why it could not be
	sources map[string]string
}

// variable is the environment variable of a setting.
func variable(name string) string {
	return "TIDINGS_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
}

// Validate implements kong.Resolver.
func (l *layers) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (l *layers) Resolve(ctx *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	if !isSetting(flag) {
		return nil, nil //nolint:nilnil // nothing is known, as kong has it
	}
	if value, set := l.env.lookup(variable(flag.Name)); set {
		l.sources[flag.Name] = "environment"
		return value, nil
	}
	if l.file == nil {
		l.err = l.read(ctx)
	}
	value, set := l.file[flag.Name]
	if !set {
		return nil, nil //nolint:nilnil // nothing is known, as kong has it
	}
	l.sources[flag.Name] = "file"
	return value, nil
}

// isSetting tells a setting of a node from a flag of a tool: settings stand in
// a group.
func isSetting(flag *kong.Flag) bool { return flag.Group != nil }

// read reads the configuration file, if one is named, and refuses keys, also
// of the environment, that mean nothing: a misspelt setting must not be taken
// for a default.
func (l *layers) read(ctx *kong.Context) error {
	l.file = map[string]any{}
	var names []string
	path := l.env.getenv(variable("config"))
	for _, flag := range ctx.Flags() {
		if isSetting(flag) {
			names = append(names, flag.Name)
		}
		if given, _ := ctx.FlagValue(flag).(string); flag.Name == "config" && given != "" {
			path = given
		}
	}
	if path != "" {
		if err := l.readFile(path, names); err != nil {
			return fmt.Errorf("configuration %s: %w", path, err)
		}
	}
	return l.checkEnvironment(names)
}

func (l *layers) readFile(path string, names []string) error {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return err
	}
	var tree map[string]any
	if err := yaml.Unmarshal(text, &tree); err != nil {
		return errors.New(oneLine(err))
	}
	if err := flatten(l.file, "", tree); err != nil {
		return err
	}
	for key := range l.file {
		if !slices.Contains(names, key) {
			return fmt.Errorf("unknown key %q%s", key, didYouMean(key, names))
		}
	}
	return nil
}

func (l *layers) checkEnvironment(names []string) error {
	for _, entry := range l.env.Environ {
		name, _, _ := strings.Cut(entry, "=")
		// What Kubernetes sets for a service of our name is no setting.
		if !strings.HasPrefix(name, "TIDINGS_") || strings.HasPrefix(name, "TIDINGS_PORT") || strings.HasPrefix(name, "TIDINGS_SERVICE_") {
			continue
		}
		if name == variable("config") || name == tokenVariable || slices.ContainsFunc(names, func(known string) bool { return variable(known) == name }) {
			continue
		}
		key := strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "TIDINGS_"), "_", "-"))
		return fmt.Errorf("environment: unknown variable %s%s", name, didYouMean(key, names))
	}
	return nil
}

// oneLine is the text of an error of the YAML library, which has several.
func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// flatten writes nested keys in one: auth: {jwks: x} is auth-jwks: x.
func flatten(into map[string]any, prefix string, tree map[string]any) error {
	for key, value := range tree {
		key = prefix + key
		if inner, nested := value.(map[string]any); nested {
			if err := flatten(into, key+"-", inner); err != nil {
				return err
			}
			continue
		}
		if _, twice := into[key]; twice {
			return fmt.Errorf("key %q is given twice", key)
		}
		into[key] = scalar(value)
	}
	return nil
}

// scalar makes text of numbers and booleans, so that a setting reads the same
// wherever it comes from.
func scalar(value any) any {
	switch value := value.(type) {
	case []any, string:
		return value
	case nil:
		return ""
	default:
		return fmt.Sprint(value)
	}
}

// didYouMean names the setting that an unknown one shares the most with.
func didYouMean(key string, names []string) string {
	best, most := "", 3
	for _, name := range names {
		if n := commonLetters(key, name); n > most {
			best, most = name, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func commonLetters(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// note remembers which settings the command line gave.
func (l *layers) note(ctx *kong.Context) {
	for _, path := range ctx.Path {
		if path.Flag != nil && !path.Resolved {
			l.sources[path.Flag.Name] = "flag"
		}
	}
}

// issuerList is the list of several issuers, which only a file can hold well.
type issuerList []issuerSetting

type issuerSetting struct {
	Name       string `yaml:"name"`
	Audience   string `yaml:"audience"`
	SecretFile string `yaml:"secret-file"`
	KeyFile    string `yaml:"key-file"`
	JWKS       string `yaml:"jwks"`
}

// Decode implements kong.MapperValue.
func (l *issuerList) Decode(ctx *kong.DecodeContext) error {
	token, err := ctx.Scan.PopValue("issuers")
	if err != nil {
		return err
	}
	text, ok := token.Value.(string)
	if !ok {
		encoded, err := yaml.Marshal(token.Value)
		if err != nil {
			return err
		}
		text = string(encoded)
	}
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode((*[]issuerSetting)(l)); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("want a list of name, audience and one of secret-file, key-file, jwks: %s", oneLine(err))
	}
	return nil
}

func (l *issuerList) read() ([]roles.Issuer, error) {
	var issuers []roles.Issuer
	for _, setting := range *l {
		issuer := roles.Issuer{Name: setting.Name, Audience: setting.Audience, KeyFile: setting.KeyFile, JWKS: setting.JWKS}
		if setting.SecretFile != "" {
			secret, err := readSecret(setting.SecretFile)
			if err != nil {
				return nil, fmt.Errorf("issuer %s: %w", setting.Name, err)
			}
			issuer.Secret = secret
		}
		issuers = append(issuers, issuer)
	}
	return issuers, nil
}
