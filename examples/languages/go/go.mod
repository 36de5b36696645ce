module wit_component

go 1.25

require go.bytecodealliance.org/pkg v0.0.0

// What the generated bindings lean on, written here: the module proxy does not have it.
replace go.bytecodealliance.org/pkg => ./wit_pkg
