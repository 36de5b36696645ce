(func (export "weir:metric/metric-api@0.1.0#release") (param $slots i32) (param $slots-len i32) (result i32)
  (local $i i32)
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (i32.shr_u (local.get $slots-len) (i32.const 2))))
      (i64.store (call $slot (call $u32 (local.get $slots) (local.get $i))) (i64.const 0))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (call $ok))
