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
		Expression        string `json:"expression"`
		Message           string `json:"message"`
		MessageExpression string `json:"messageExpression"`
	} `json:"validations"`
	Mutations []struct {
		PatchType string `json:"patchType"`
		JSONPatch *struct {
			Expression string `json:"expression"`
		} `json:"jsonPatch"`
	} `json:"mutations"`
}

type named struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// evaluator runs the expressions of one policy on one request, and adds up what they cost.
type evaluator struct {
	env       *cel.Env
	variables *apiservercel.DeclType
	programs  map[string]cel.Program
	input     map[string]any
	cost      uint64
}

func newEvaluator(asked question) (*evaluator, *policySpec, error) {
	spec := &policySpec{}
	text, err := json.Marshal(asked.Policy["spec"])
	if err != nil {
		return nil, nil, err
	}
	if err := json.Unmarshal(text, spec); err != nil {
		return nil, nil, err
	}
	of, err := version.ParseGeneric(asked.Version)
	if err != nil {
		return nil, nil, err
	}
	variables := apiservercel.NewObjectType("kubernetes.variables", map[string]*apiservercel.DeclField{})
	// Expressions of new objects may use what the release before this one knows: an API server can be rolled back.
	set, err := environment.MustBaseEnvSet(of.SubtractMinor(1)).Extend(environment.VersionedOptions{
		IntroducedVersion: version.MajorMinor(1, 0),
		EnvOptions: []cel.EnvOption{
			cel.Variable("object", cel.DynType),
			cel.Variable("oldObject", cel.DynType),
			cel.Variable("request", cel.DynType),
			cel.Variable("namespaceObject", cel.DynType),
			cel.Variable("variables", variables.CelType()),
		},
		DeclTypes: []*apiservercel.DeclType{variables},
	})
	if err != nil {
		return nil, nil, err
	}
	if len(spec.Mutations) > 0 {
		// Apart, since declared types put what resolves names before them out of use.
		set, err = set.Extend(environment.VersionedOptions{
			IntroducedVersion: version.MajorMinor(1, 0),
			EnvOptions: []cel.EnvOption{
				common.ResolverEnvOption(&mutation.DynamicTypeResolver{}),
				environment.UnversionedLib(library.JSONPatch),
			},
		})
		if err != nil {
			return nil, nil, err
		}
	}
	env, err := set.Env(environment.NewExpressions)
	if err != nil {
		return nil, nil, err
	}
	made := &evaluator{env: env, variables: variables, programs: map[string]cel.Program{}}
	for _, one := range spec.Variables {
		program, kind, err := made.compile(one.Expression)
		if err != nil {
			return nil, nil, fmt.Errorf("variable `%s`: %w", one.Name, err)
		}
		made.programs[one.Name] = program
		variables.Fields[one.Name] = apiservercel.NewDeclField(one.Name, declared(kind), true, nil, nil)
	}
	made.input = map[string]any{
		"object":          value(asked.Object),
		"oldObject":       value(asked.OldObject),
		"request":         value(asked.Request),
		"namespaceObject": value(asked.Namespace),
	}
	made.input["variables"] = made.lazily()
	return made, spec, nil
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
	for name, program := range e.programs {
		values.Append(name, func(*lazy.MapValue) ref.Val {
			found, err := e.run(program)
			if err != nil {
				return types.NewErr("variable `%s`: %v", name, err)
			}
			return found
		})
	}
	return values
}

func (e *evaluator) compile(expression string) (cel.Program, *cel.Type, error) {
	ast, issues := e.env.Compile(expression)
	if issues.Err() != nil {
		messages := []string{}
		for _, one := range issues.Errors() {
			messages = append(messages, one.Message)
		}
		return nil, nil, errors.New(strings.Join(messages, "; "))
	}
	program, err := e.env.Program(ast, cel.InterruptCheckFrequency(celconfig.CheckFrequency))
	return program, ast.OutputType(), err
}

func (e *evaluator) run(program cel.Program) (ref.Val, error) {
	found, details, err := program.Eval(e.input)
	if details != nil && details.ActualCost() != nil {
		e.cost += *details.ActualCost()
	}
	if e.cost > celconfig.RuntimeCELCostBudget {
		return nil, fmt.Errorf("the policy costs more than %d", celconfig.RuntimeCELCostBudget)
	}
	return found, err
}

func (e *evaluator) evaluate(expression string) (ref.Val, error) {
	program, _, err := e.compile(expression)
	if err != nil {
		return nil, err
	}
	return e.run(program)
}

// matches says whether every match condition holds; an error counts as a match failure, which denies.
func (e *evaluator) matches(spec *policySpec) (bool, error) {
	for _, one := range spec.MatchConditions {
		found, err := e.evaluate(one.Expression)
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
	made, spec, err := newEvaluator(asked)
	if err != nil {
		return err
	}
	matched, err := made.matches(spec)
	if err != nil {
		return err
	}
	for _, one := range spec.Validations {
		program, _, err := made.compile(one.Expression)
		if err != nil {
			return fmt.Errorf("%s: %w", one.Message, err)
		}
		if !matched {
			continue
		}
		if found, err := made.run(program); err != nil {
			to.Messages = append(to.Messages, fmt.Sprintf("error: %v", err))
		} else if found != types.True {
			to.Messages = append(to.Messages, one.Message)
		}
	}
	to.Allowed = len(to.Messages) == 0
	to.Cost = made.cost
	return nil
}

// mutate answers as a MutatingAdmissionPolicy whose mutations are JSON patches: it gives their operations.
func mutate(asked question, to *answer) error {
	made, spec, err := newEvaluator(asked)
	if err != nil {
		return err
	}
	to.Allowed = true
	matched, err := made.matches(spec)
	if err != nil || !matched {
		return err
	}
	for _, one := range spec.Mutations {
		if one.JSONPatch == nil {
			return fmt.Errorf("`%s` is no JSONPatch", one.PatchType)
		}
		found, err := made.evaluate(one.JSONPatch.Expression)
		if err != nil {
			return err
		}
		list, ok := found.(traits.Lister)
		if !ok {
			return fmt.Errorf("the patch is a %s and no list", found.Type().TypeName())
		}
		for each := list.Iterator(); each.HasNext() == types.True; {
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
