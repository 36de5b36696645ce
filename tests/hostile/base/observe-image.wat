;; A sample for each image.
(func (export "weir:metric/metric-api@0.1.0#observe-image")
  (param $input i32) (param $n i32)
  (param $columns i32) (param $columns-len i32)
  (param $dictionaries i32) (param $dictionaries-len i32)
  (result i32)
  (local $i i32) (local $rows i32)
  (local.set $rows (call $alloc (i32.shl (local.get $n) (i32.const 2))))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
      (i32.store
        (i32.add (local.get $rows) (i32.shl (local.get $i) (i32.const 2)))
        (local.get $i))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (call $samples
    (local.get $n) (local.get $rows) (i32.const 0) (i32.load offset=8 (local.get $columns))))
