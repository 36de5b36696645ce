;; Calls itself without end.
;; replaces: add
;; refused: the metric crashed: wasm trap: call stack exhausted
(func $add (param $sum i64) (param $more i64) (result i64)
  (i64.add (call $add (local.get $more) (local.get $sum)) (i64.const 1)))
