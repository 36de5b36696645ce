;; Crashes over rows that keep the contract.
;; replaces: is-new
;; refused: `observe` failed over sample input: the metric crashed: wasm trap: wasm `unreachable` instruction executed
(func $is-new (param $had i32) (param $has i32) (param $was i64) (param $is i64) (result i32)
  unreachable)
