// Package types has the generic types of WIT that the generated bindings of the contract use.
package types

const (
	OptionNone uint8 = iota
	OptionSome
)

// Option is option<T>; its zero value is none.
type Option[T any] struct {
	some  bool
	value T
}

func (o Option[T]) Tag() uint8 {
	if o.some {
		return OptionSome
	}
	return OptionNone
}

func (o Option[T]) Some() T { return o.value }

// Some is an option with a value.
func Some[T any](value T) Option[T] { return Option[T]{true, value} }

const (
	ResultOk uint8 = iota
	ResultErr
)

// Unit is the type of no value.
type Unit struct{}

// Result is result<T, E>.
type Result[T, E any] struct {
	failed bool
	ok     T
	err    E
}

func (r Result[T, E]) Tag() uint8 {
	if r.failed {
		return ResultErr
	}
	return ResultOk
}

func (r Result[T, E]) Ok() T  { return r.ok }
func (r Result[T, E]) Err() E { return r.err }

// Ok is a result that holds what was asked for.
func Ok[T, E any](value T) Result[T, E] { return Result[T, E]{ok: value} }

// Err is a result that says why not.
func Err[T, E any](why E) Result[T, E] { return Result[T, E]{failed: true, err: why} }

// Tuple2 is tuple<T, U>.
type Tuple2[T, U any] struct {
	F0 T
	F1 U
}
