package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"google.golang.org/protobuf/types/known/structpb"
	"k8s.io/apimachinery/pkg/util/version"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
	"k8s.io/apiserver/pkg/cel/environment"
	"k8s.io/apiserver/pkg/cel/lazy"
	"k8s.io/apiserver/pkg/cel/library"
	"k8s.io/apiserver/pkg/cel/mutation"
)

// policySpec is what this program reads of an admission policy of either kind.
type policySpec struct {
	Variables       []named `json:"variables"`
	MatchConditions []named `json:"matchConditions"`
	Validations     []struct {
		Expression string `json:"expression"`
		Message    string `json:"message"`
	} `json:"validations"`
	Mutations []struct {
		JSONPatch struct {
			Expression string `json:"expression"`
		} `json:"jsonPatch"`
	} `json:"mutations"`
}

type named struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// compiled is a policy ready to be run; questions about one policy come many times.
type compiled struct {
	spec      policySpec
	env       *cel.Env
	variables *apiservercel.DeclType
	programs  map[string]cel.Program // by expression
}

// known has each policy that was asked about, by its text and version.
var known = map[string]*compiled{}

func compilePolicy(asked question) (*compiled, error) {
	text, err := json.Marshal(asked.Policy["spec"])
	if err != nil {
		return nil, err
	}
	key := asked.Version + string(text)
	if found, ok := known[key]; ok {
		return found, nil
	}
	made := &compiled{programs: map[string]cel.Program{}}
	if err := json.Unmarshal(text, &made.spec); err != nil {
		return nil, err
	}
	if err := made.prepare(asked.Version); err != nil {
		return nil, err
	}
	for _, one := range made.spec.Variables {
		kind, err := made.compile(one.Expression)
		if err != nil {
			return nil, fmt.Errorf("variable `%s`: %w", one.Name, err)
		}
		made.variables.Fields[one.Name] = apiservercel.NewDeclField(one.Name, declared(kind), true, nil, nil)
	}
	for _, expression := range made.spec.expressions() {
		if _, err := made.compile(expression); err != nil {
			return nil, fmt.Errorf("`%s`: %w", expression, err)
		}
	}
	known[key] = made
	return made, nil
}

// expressions are all but those of the variables.
func (s *policySpec) expressions() []string {
	found := []string{}
	for _, one := range s.MatchConditions {
		found = append(found, one.Expression)
	}
	for _, one := range s.Validations {
		found = append(found, one.Expression)
	}
	for _, one := range s.Mutations {
		found = append(found, one.JSONPatch.Expression)
	}
	return found
}

// prepare makes the environment that an API server of a version gives the expressions.
func (c *compiled) prepare(of string) error {
	parsed, err := version.ParseGeneric(of)
	if err != nil {
		return err
	}
	c.variables = apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{})
	// Expressions of new objects may use what the release before this one knows: an API server can be rolled back.
	set, err := environment.MustBaseEnvSet(parsed.SubtractMinor(1)).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", cel.DynType),
			cel.Variable("oldObject", cel.DynType),
			cel.Variable("request", cel.DynType),
			cel.Variable("namespaceObject", cel.DynType),
			cel.Variable("variables", c.variables.CelType()),
		},
		DeclTypes: []*apiservercel.DeclType{c.variables},
	})
	if err != nil {
		return err
	}
	if len(c.spec.Mutations) > 0 {
		// Apart, since declared types put what resolves names before them out of use.
		set, err = set.Extend(environment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			EnvOptions: []cel.EnvOption{
				common.ResolverEnvOption(&mutation.DynamicTypeResolver{}),
				environment.UnversionedLib(library.JSONPatch),
			},
		})
		if err != nil {
			return err
		}
	}
	c.env, err = set.Env(environment.NewExpressions)
	return err
}

func (c *compiled) compile(expression string) (*cel.Type, error) {
	ast, issues := c.env.Compile(expression)
	if issues.Err() != nil {
		messages := []string{}
		for _, one := range issues.Errors() {
			messages = append(messages, one.Message)
		}
		return nil, errors.New(strings.Join(messages, "; "))
	}
	program, err := c.env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	c.programs[expression] = program
	return ast.OutputType(), err
}

// evaluator runs the expressions of one policy on one request, and adds up what they cost.
type evaluator struct {
	*compiled
	input map[string]any
	cost  uint64
}

func newEvaluator(asked question) (*evaluator, error) {
	policy, err := compilePolicy(asked)
	if err != nil {
		return nil, err
	}
	made := &evaluator{compiled: policy, input: map[string]any{
		"object":          value(asked.Object),
		"oldObject":       value(asked.OldObject),
		"request":         value(asked.Request),
		"namespaceObject": value(asked.Namespace),
	}}
	made.input["variables"] = made.lazily()
	return made, nil
}

// value is what an expression sees: null, and not an empty map, for what the request does not have.
func value(of map[string]any) any {
	if of == nil {
		return types.NullValue
	}
	return of
}

// declared keeps of a variable's type what the checker needs; the inside of lists and maps is checked while it runs.
func declared(kind *cel.Type) *apiservercel.DeclType {
	switch kind.Kind() {
	case types.BoolKind:
		return apiservercel.BoolType
	case types.StringKind:
		return apiservercel.StringType
	case types.IntKind:
		return apiservercel.IntType
	case types.ListKind:
		return apiservercel.NewListType(apiservercel.DynType, -1)
	default:
		return apiservercel.DynType
	}
}

// lazily computes a variable when an expression first reads it, as an API server does.
func (e *evaluator) lazily() ref.Val {
	values := lazy.NewMapValue(e.variables)
	for _, one := range e.spec.Variables {
		values.Append(one.Name, func(*lazy.MapValue) ref.Val {
			found, err := e.run(one.Expression)
			if err != nil {
				return types.NewErr("variable `%s`: %v", one.Name, err)
			}
			return found
		})
	}
	return values
}

func (e *evaluator) run(expression string) (ref.Val, error) {
	found, details, err := e.programs[expression].Eval(e.input)
	if details != nil && details.ActualCost() != nil {
		e.cost += *details.ActualCost()
	}
	if e.cost > celconfig.RuntimeCELCostBudget {
		return nil, fmt.Errorf("the policy costs more than %d", celconfig.RuntimeCELCostBudget)
	}
	return found, err
}

// matches says whether every match condition holds; an error there fails the request, which is a denial.
func (e *evaluator) matches() (bool, error) {
	for _, one := range e.spec.MatchConditions {
		found, err := e.run(one.Expression)
		if err != nil {
			return false, fmt.Errorf("match condition `%s`: %w", one.Name, err)
		}
		if found != types.True {
			return false, nil
		}
	}
	return true, nil
}

// validate answers as a ValidatingAdmissionPolicy with failurePolicy Fail: an error while it runs is a denial.
func validate(asked question, to *answer) error {
	made, err := newEvaluator(asked)
	if err != nil {
		return err
	}
	matched, err := made.matches()
	if err != nil {
		return err
	}
	if matched {
		for _, one := range made.spec.Validations {
			if found, err := made.run(one.Expression); err != nil {
				to.Messages = append(to.Messages, fmt.Sprintf("error: %v", err))
			} else if found != types.True {
				to.Messages = append(to.Messages, one.Message)
			}
		}
	}
	to.Allowed = len(to.Messages) == 0
	to.Cost = made.cost
	return nil
}

// mutate answers as a MutatingAdmissionPolicy whose mutations are JSON patches: it gives their operations.
func mutate(asked question, to *answer) error {
	made, err := newEvaluator(asked)
	if err != nil {
		return err
	}
	to.Allowed = true
	matched, err := made.matches()
	if err != nil || !matched {
		return err
	}
	for _, one := range made.spec.Mutations {
		found, err := made.run(one.JSONPatch.Expression)
		if err != nil {
			return err
		}
		for each := found.(traits.Lister).Iterator(); each.HasNext() == types.True; {
			operation, err := patch(each.Next())
			if err != nil {
				return err
			}
			to.Patch = append(to.Patch, operation)
		}
	}
	to.Cost = made.cost
	return nil
}

func patch(from ref.Val) (map[string]any, error) {
	native, err := from.ConvertToNative(reflect.TypeOf(&mutation.JSONPatchVal{}))
	if err != nil {
		return nil, err
	}
	operation := native.(*mutation.JSONPatchVal)
	made := map[string]any{"op": operation.Op, "path": operation.Path}
	if operation.Val != nil {
		plain, err := operation.Val.ConvertToNative(reflect.TypeOf(&structpb.Value{}))
		if err != nil {
			return nil, err
		}
		made["value"] = plain
	}
	return made, nil
}
