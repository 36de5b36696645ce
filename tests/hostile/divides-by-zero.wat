;; Divides by the difference of window end and now.
;; replaces: output
;; refused: the metric crashed: wasm trap: integer divide by zero
(func $output (param $sum i64) (param $now i64) (result i64)
  (i64.div_s (local.get $sum) (i64.const 0)))
