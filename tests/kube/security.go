package main

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// security answers as the Pod Security admission of one version would for a pod at one level.
func security(asked question, to *answer) error {
	text, err := json.Marshal(asked.Object)
	if err != nil {
		return err
	}
	pod := &corev1.Pod{}
	if err := json.Unmarshal(text, pod); err != nil {
		return err
	}
	level, err := api.ParseLevel(asked.Level)
	if err != nil {
		return err
	}
	of, err := api.ParseVersion("v" + asked.Version)
	if err != nil {
		return err
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	if err != nil {
		return err
	}
	for _, result := range evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: of}, &pod.ObjectMeta, &pod.Spec) {
		if !result.Allowed {
			to.Messages = append(to.Messages, fmt.Sprintf("%s: %s", result.ForbiddenReason, result.ForbiddenDetail))
		}
	}
	to.Allowed = len(to.Messages) == 0
	return nil
}
