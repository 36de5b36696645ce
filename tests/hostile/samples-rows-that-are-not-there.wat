;; Gives a sample of row 1000000.
;; replaces: is-new, observe
;; refused: `observe` failed over sample input: the metric broke the contract: a sample names row 1000000 of
(func (export "weir:metric/metric-api@0.1.0#observe")
  (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
  (local $rows i32)
  (local.set $rows (call $alloc (i32.const 4)))
  (i32.store (local.get $rows) (i32.const 1000000))
  (call $samples
    (i32.const 1) (local.get $rows) (call $zeroed (i32.const 8)) (call $zeroed (i32.const 8))))
