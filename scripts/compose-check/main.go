// Command compose-check loads a Compose file with the reference parser and prints what it resolves to, as JSON.
//
// All profiles are on, and nothing of the environment or of a .env file comes in. What the parser merely warns of,
// such as a variable that is not set, is an error here.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/sirupsen/logrus"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: compose-check FILE")
		os.Exit(64)
	}
	text, err := resolve(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "compose-check: %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Println(text)
}

// messageOnly formats a log entry as its message.
type messageOnly struct{}

func (messageOnly) Format(entry *logrus.Entry) ([]byte, error) {
	return []byte(entry.Message + "\n"), nil
}

func resolve(file string) (string, error) {
	var warnings bytes.Buffer
	logrus.SetOutput(&warnings)
	logrus.SetFormatter(messageOnly{})

	options, err := cli.NewProjectOptions([]string{file}, cli.WithProfiles([]string{"*"}))
	if err != nil {
		return "", err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		return "", err
	}
	if warnings.Len() > 0 {
		return "", errors.New(strings.TrimSpace(warnings.String()))
	}
	text, err := project.MarshalJSON()
	return string(text), err
}
