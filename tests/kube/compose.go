package main

import (
	"context"
	"encoding/json"

	"github.com/compose-spec/compose-go/v2/cli"
)

// compose loads Compose files as docker compose does, strictly, and gives the project that it would run.
func compose(asked question, to *answer) error {
	options, err := cli.NewProjectOptions(asked.Files, cli.WithEnv(asked.Environment), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		to.Messages = []string{err.Error()}
		return nil
	}
	text, err := project.MarshalJSON()
	if err != nil {
		return err
	}
	to.Allowed = true
	return json.Unmarshal(text, &to.Project)
}
