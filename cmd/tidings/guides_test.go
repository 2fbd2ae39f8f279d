package main

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"tidings/connections"
	"tidings/hub"
)

// What the guides for hubs and clients say is held against the code, too.

// sources are the Go files below some folders, as one text each.
func sources(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, folder := range folders {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".go" {
				return err
			}
			text, err := os.ReadFile(path)
			all[path] = string(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// flush is a text without its indentation.
func flush(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.Join(lines, "\n")
}

// The Go code of hubs.md is code that is built and tested.
func TestGuideShowsCodeOfTheExample(t *testing.T) {
	var code []string
	for _, text := range sources(t, "docs/examples/chat", "hub") {
		code = append(code, "\n"+flush(text)+"\n")
	}
	shown := regexp.MustCompile("(?s)```go\n(.*?\n)```").FindAllStringSubmatch(document(t, "docs/guides/hubs.md"), -1)
	if len(shown) < 10 {
		t.Fatalf("%d blocks of Go code", len(shown))
	}
	for _, found := range shown {
		block := "\n" + strings.TrimRight(flush(found[1]), "\n") + "\n"
		if !slices.ContainsFunc(code, func(text string) bool { return strings.Contains(text, block) }) {
			t.Errorf("this is not code of docs/examples/chat or hub:\n%s", found[1])
		}
	}
}

// tables are all tables behind a mark, without their heads.
func tables(text, mark string) [][]string {
	var rows [][]string
	for _, rest := range strings.Split(text, mark)[1:] {
		rows = append(rows, table(rest)...)
	}
	return rows
}

// Every field of the options is documented, with the default that the code
// gives it.
func TestGuideOptionsAreTheOptions(t *testing.T) {
	documented := map[string]string{} // field → default
	for _, row := range tables(document(t, "docs/guides/hubs.md"), "<!-- options -->") {
		if _, twice := documented[row[1]]; twice {
			t.Errorf("%s is documented twice", row[1])
		}
		documented[row[1]] = row[2]
	}
	given := map[string]map[string]string{
		"hub.":         defaults(t, "hub", "actors"),
		"connections.": defaults(t, "connections"),
	}
	for prefix, options := range map[string]reflect.Type{"hub.": reflect.TypeFor[hub.Options](), "connections.": reflect.TypeFor[connections.Options]()} {
		for field := range options.Fields() {
			name := prefix + "Options." + field.Name
			said, known := documented[name]
			delete(documented, name)
			want := given[prefix][field.Name]
			switch {
			case !known:
				t.Errorf("%s is not documented", name)
			case want != "" && want != said:
				t.Errorf("%s: documented default %q, want %q", name, said, want)
			case field.Type.Kind() == reflect.Bool && said != "off":
				t.Errorf("%s: documented default %q, but it is off unless set", name, said)
			case numeric(field.Type) && want == "":
				t.Errorf("%s: no default found in the code", name)
			}
		}
	}
	for name := range documented {
		t.Errorf("%s is documented and is no option", name)
	}
}

func numeric(t reflect.Type) bool { return t.Kind() == reflect.Int || t.Kind() == reflect.Int64 }

// defaults finds what the withDefaults of some packages give to numbers, in
// the words of the guide.
func defaults(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	found, constants := map[string]string{}, constantsOf(t, append(folders, "hub/protocol")...)
	for _, folder := range folders {
		for path, text := range sources(t, folder) {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range file.Decls {
				if f, is := d.(*ast.FuncDecl); is && f.Name.Name == "withDefaults" {
					ast.Inspect(f, func(n ast.Node) bool {
						if name, value := defaultOf(n, constants); value != "" && found[name] == "" {
							found[name] = value
						}
						return true
					})
				}
			}
		}
	}
	return found
}

// constantsOf are the constants of some packages, by their names.
func constantsOf(t *testing.T, folders ...string) map[string]ast.Expr {
	t.Helper()
	all := map[string]ast.Expr{}
	for path, text := range sources(t, folders...) {
		file, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			general, is := d.(*ast.GenDecl)
			if !is || general.Tok != token.CONST {
				continue
			}
			for _, s := range general.Specs {
				if spec, is := s.(*ast.ValueSpec); is && len(spec.Values) == len(spec.Names) {
					for i, name := range spec.Names {
						all[name.Name] = spec.Values[i]
					}
				}
			}
		}
	}
	return all
}

// defaultOf reads o.Name = value, also where a call chooses between what is
// set and the value, which is the last of its arguments then.
func defaultOf(n ast.Node, constants map[string]ast.Expr) (name, value string) {
	assign, is := n.(*ast.AssignStmt)
	if !is || len(assign.Lhs) != 1 {
		return "", ""
	}
	field, is := assign.Lhs[0].(*ast.SelectorExpr)
	if !is {
		return "", ""
	}
	from := assign.Rhs[0]
	if call, is := from.(*ast.CallExpr); is && len(call.Args) > 1 {
		from = call.Args[len(call.Args)-1]
	}
	var text []string
	ast.Inspect(from, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if to, known := constants[n.Name]; known {
				_, value = defaultOf(&ast.AssignStmt{Lhs: []ast.Expr{field}, Rhs: []ast.Expr{to}}, constants)
			}
			text = append(text, n.Name)
		case *ast.BasicLit:
			text = append(text, n.Value)
		case *ast.BinaryExpr:
			text = append(text, n.Op.String())
		}
		return true
	})
	if value == "" {
		value = inWords(strings.Join(text, " "))
	}
	return field.Sel.Name, value
}

// inWords says how the guide writes an expression, given operator first.
func inWords(expression string) string {
	words := strings.Fields(expression)
	switch {
	case len(words) == 1 && words[0] == "GOMAXPROCS", expression == "runtime GOMAXPROCS 0":
		return "GOMAXPROCS"
	case len(words) == 1 && words[0][0] >= '0' && words[0][0] <= '9':
		return thousands(strings.ReplaceAll(words[0], "_", ""))
	case len(words) == 4 && words[0] == "*" && words[3] == "Second":
		return words[1] + " s"
	case expression == "time Minute":
		return "1 min"
	case len(words) == 3 && words[0] == "<<" && words[2] == "10":
		return words[1] + " KiB"
	case len(words) == 3 && words[0] == "<<" && words[2] == "20":
		return words[1] + " MiB"
	}
	return ""
}

func thousands(digits string) string {
	if _, err := strconv.Atoi(digits); err != nil || len(digits) < 4 {
		return digits
	}
	return digits[:len(digits)-3] + "," + digits[len(digits)-3:]
}

// The bounds that the guides name are those of the code.
func TestGuideBoundsAreKept(t *testing.T) {
	constants := constantsOf(t, "hub", "actors", "connections")
	hubs, clients := document(t, "docs/guides/hubs.md"), document(t, "docs/guides/clients.md")
	for _, bound := range []struct{ text, constant, phrase string }{
		{hubs, "maxQuestions", "be asked # questions at once"},
		{hubs, "maxQuestions", "wait for # answers at once"},
		{hubs, "maxGroups", "may be in # groups"},
		{hubs, "maxQueued", "when # invocations wait"},
		{hubs, "uploadBudget", "and # of all together"},
		{hubs, "farewell", "no more than # in"},
		{clients, "maxWaitingSize", "With more than # waiting"},
	} {
		var value string
		if at, known := constants[bound.constant]; known {
			_, value = defaultOf(&ast.AssignStmt{Lhs: []ast.Expr{&ast.SelectorExpr{Sel: ast.NewIdent("x")}}, Rhs: []ast.Expr{at}}, constants)
		}
		if want := strings.Replace(bound.phrase, "#", value, 1); value == "" || !strings.Contains(bound.text, want) {
			t.Errorf("%s is %q; no guide says %q", bound.constant, value, want)
		}
	}
}

// Every text that the guides quote is one that the server can say.
func TestGuideTextsAreSaid(t *testing.T) {
	var code strings.Builder
	for path, text := range sources(t, "hub", "connections", "actors", "cmd/tidings") {
		if !strings.HasSuffix(path, "_test.go") {
			code.WriteString(text)
		}
	}
	said := code.String()
	quoted := regexp.MustCompile("`([^`]+)`")
	variable := regexp.MustCompile(`'[A-Z]'|HubException: (T$)?|…|\d+|^LongPolling|'Binary'|\bbool\b`)
	for _, guide := range []string{"docs/guides/hubs.md", "docs/guides/clients.md"} {
		count := 0
		for _, rest := range strings.Split(document(t, guide), "<!-- texts -->")[1:] {
			rows, _, _ := strings.Cut(strings.TrimSpace(rest), "\n\n")
			for _, found := range quoted.FindAllStringSubmatch(rows, -1) {
				if !strings.Contains(found[1], " ") {
					continue // a name, not a text
				}
				for _, fragment := range variable.Split(found[1], -1) {
					fragment = strings.Trim(fragment, `'`)
					count++
					if !strings.Contains(said, fragment) && !strings.Contains(said, strings.TrimSpace(fragment)) {
						t.Errorf("%s quotes %q: nobody says %q", guide, found[1], fragment)
					}
				}
			}
		}
		if count < 20 {
			t.Errorf("%s: only %d pieces of texts found", guide, count)
		}
	}
}

// The table of clients says yes, no or where to look, for each of them.
func TestGuideClientsAreCompared(t *testing.T) {
	text := document(t, "docs/guides/clients.md")
	rows := table(after(t, text, "## In short"))
	for _, row := range rows {
		if len(row) != 7 || slices.Contains(row, "") {
			t.Errorf("want a client in each of six columns: %q", row)
		}
	}
	if tested := rows[len(rows)-1]; !slices.Equal(tested, []string{"tested here", "yes", "no", "no", "no", "no", "no"}) {
		t.Errorf("the JavaScript client alone is tested, documented: %q", tested)
	}
	if !strings.Contains(text, "Only the JavaScript client is tested in this repository") {
		t.Error("it is not said which client is tested")
	}
}

// inNode runs the first block of JavaScript as it stands, and with what each of
// the others adds to the builder, and with all of them: twice, as one device.
// It prints what is heard, which is nothing that was acknowledged.
const inNode = `
import { createRequire } from "node:module";
const { SERVER, TOKEN, WEB, BLOCKS } = process.env;
const require = createRequire(WEB + "/package.json");
const signalR = require("@microsoft/signalr"), signalRMsgPack = require("@microsoft/signalr-protocol-msgpack");
const AsyncFunction = (async () => {}).constructor;
const [snippet, ...more] = JSON.parse(BLOCKS);
for (const addition of ["", ...more, more.join("")]) {
  class Builder extends signalR.HubConnectionBuilder {
    build() {
      this.configureLogging(signalR.LogLevel.None);
      new Function("builder", "signalRMsgPack", addition)(this, signalRMsgPack);
      return super.build();
    }
  }
  const names = ["signalR", "server", "device", "token", "show", "reload", "stopped"];
  for (const text of ["one", "two"]) {
    const shown = [];
    const values = [{ ...signalR, HubConnectionBuilder: Builder }, SERVER, "d" + addition.length, () => TOKEN, (n) => shown.push(n.body), () => {}, () => {}];
    const connection = await new AsyncFunction(...names, snippet + "return connection;")(...values);
    await connection.invoke("SendToSelf", text);
    for (let n = 0; !shown.includes(text) && n < 100; n++) await new Promise((later) => setTimeout(later, 50));
    await connection.stop();
    console.log(shown.join());
  }
}
process.exit(0);
`

// The JavaScript of clients.md is run with the stock client.
func TestGuideJavaScriptIsRun(t *testing.T) {
	web, err := filepath.Abs(filepath.Join(root, "web"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(web, "node_modules/@microsoft/signalr-protocol-msgpack")); err != nil {
		t.Skipf("make web has not been run: %v", err)
	}
	var blocks []string
	for _, found := range regexp.MustCompile("(?s)```js\n(.*?)```").FindAllStringSubmatch(document(t, "docs/guides/clients.md"), -1) {
		blocks = append(blocks, found[1])
	}
	packed, err := json.Marshal(blocks)
	if err != nil {
		t.Fatal(err)
	}
	node := start(t)
	command := exec.CommandContext(t.Context(), "node", "--input-type=module", "--eval", inNode)
	command.Env = append(os.Environ(), "WEB="+web, "SERVER=http://"+node.http, "TOKEN="+node.token(t, "ann"), "BLOCKS="+string(packed))
	out, err := command.CombinedOutput()
	if want := strings.Repeat("one\ntwo\n", len(blocks)+1); err != nil || string(out) != want {
		t.Errorf("got %v\n%swant\n%s", err, out, want)
	}
}
