// Command kubeproof answers what an API server's admission would, without one.
//
// It reads one JSON question a line from standard input, and writes one JSON answer a line to standard output.
// The expressions run in Kubernetes' own CEL environment with its libraries and cost limits, Pod Security in its own
// library, and Compose files in the loader that docker compose uses.
// It is not concerned with who is asked: matchConstraints and bindings, defaulting, and the storage of objects.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

// maxLineBytes bounds one question: a policy, a pod and its namespace.
const maxLineBytes = 8 << 20

// question is one line of input; `ask` says which of the others are read.
type question struct {
	Ask         string         `json:"ask"`         // "validate", "mutate", "security" or "compose"
	Version     string         `json:"version"`     // Kubernetes' minor version, such as "1.37"
	Policy      map[string]any `json:"policy"`      // an admission policy
	Object      map[string]any `json:"object"`      // what is asked to be stored
	OldObject   map[string]any `json:"oldObject"`   // what is stored now
	Request     map[string]any `json:"request"`     // an AdmissionRequest's own fields
	Namespace   map[string]any `json:"namespace"`   // the namespace it is in
	Level       string         `json:"level"`       // a Pod Security level
	Files       []string       `json:"files"`       // Compose files
	Environment []string       `json:"environment"` // NAME=value, for what they interpolate
}

// answer is one line of output.
type answer struct {
	Allowed  bool             `json:"allowed"`
	Messages []string         `json:"messages"`        // why not
	Error    string           `json:"error,omitempty"` // the question itself is wrong: an expression that does not compile
	Patch    []map[string]any `json:"patch,omitempty"`
	Cost     uint64           `json:"cost,omitempty"`
	Project  map[string]any   `json:"project,omitempty"`
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, maxLineBytes)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		var asked question
		answered := answer{}
		if err := json.Unmarshal(in.Bytes(), &asked); err != nil {
			answered.Error = fmt.Sprintf("not a question: %v", err)
		} else if err := reply(asked, &answered); err != nil {
			answered = answer{Error: err.Error()}
		}
		if err := out.Encode(answered); err != nil {
			fmt.Fprintln(os.Stderr, "kubeproof:", err)
			os.Exit(1)
		}
	}
	if err := in.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "kubeproof:", err)
		os.Exit(1)
	}
}

func reply(asked question, to *answer) error {
	switch asked.Ask {
	case "validate":
		return validate(asked, to)
	case "mutate":
		return mutate(asked, to)
	case "security":
		return security(asked, to)
	case "compose":
		return compose(asked, to)
	}
	return fmt.Errorf("`%s` is nothing to ask", asked.Ask)
}
