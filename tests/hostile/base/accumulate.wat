(func (export "weir:metric/metric-api@0.1.0#accumulate")
  (param $slots i32) (param $slots-len i32)
  (param $weights i32) (param $weights-len i32)
  (param $times i32) (param $times-len i32)
  (param $untils i32) (param $untils-len i32)
  (param $values i32) (param $values-len i32)
  (param $dictionaries i32) (param $dictionaries-len i32)
  (result i32)
  (local $i i32) (local $m i32) (local $at i32)
  (local.set $m (i32.shr_u (local.get $slots-len) (i32.const 2)))
  (local.set $values (i32.load offset=8 (local.get $values)))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $m)))
      (local.set $at (call $slot (call $u32 (local.get $slots) (local.get $i))))
      (i64.store (local.get $at)
        (call $add
          (i64.load (local.get $at))
          (i64.mul
            (call $i64 (local.get $weights) (local.get $i))
            (call $i64 (local.get $values) (local.get $i)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (call $ok))
