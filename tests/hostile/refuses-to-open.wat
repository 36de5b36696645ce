;; Cannot read its configuration.
;; replaces: open
;; refused: `open` failed over sample input: the metric refused the call: no
(func (export "weir:metric/metric-api@0.1.0#open") (param i32 i32 i32 i32) (result i32)
  (local $r i32)
  (local.set $r (call $alloc (i32.const 12)))
  (i32.store (local.get $r) (i32.const 1))
  (i32.store offset=4 (local.get $r) (i32.const 3000000))
  (i32.store16 (i32.const 3000000) (i32.const 0x6f6e))
  (i32.store offset=8 (local.get $r) (i32.const 2))
  (local.get $r))
