;; Refuses every configuration with a text that is no text.
;; replaces: open
;; refused: `open` failed over sample input: the metric broke the contract:
(func (export "weir:metric/metric-api@0.1.0#open") (param i32 i32 i32 i32) (result i32)
  (local $r i32)
  (local.set $r (call $alloc (i32.const 12)))
  (i32.store (local.get $r) (i32.const 1))
  (i32.store8 offset=4 (i32.const 2097152) (i32.const 0xff))
  (i32.store offset=4 (local.get $r) (i32.const 3000000))
  (i32.store8 (i32.const 3000000) (i32.const 0xff))
  (i32.store offset=8 (local.get $r) (i32.const 1))
  (local.get $r))
