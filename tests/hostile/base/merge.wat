(func (export "weir:metric/metric-api@0.1.0#merge")
  (param $into i32) (param $into-len i32) (param $from i32) (param $from-len i32)
  (result i32)
  (local $i i32) (local $m i32) (local $at i32)
  (local.set $m (i32.shr_u (local.get $into-len) (i32.const 2)))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $m)))
      (local.set $at (call $slot (call $u32 (local.get $into) (local.get $i))))
      (i64.store (local.get $at)
        (call $join
          (i64.load (local.get $at))
          (i64.load (call $slot (call $u32 (local.get $from) (local.get $i))))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (call $ok))
