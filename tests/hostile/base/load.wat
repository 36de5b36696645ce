(func (export "weir:metric/metric-api@0.1.0#load")
  (param $slots i32) (param $slots-len i32)
  (param $offsets i32) (param $offsets-len i32)
  (param $bytes i32) (param $bytes-len i32)
  (param $version i32)
  (result i32)
  (local $i i32) (local $m i32) (local $from i32) (local $sum i64)
  (local.set $m (i32.shr_u (local.get $slots-len) (i32.const 2)))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $m)))
      (local.set $from (call $u32 (local.get $offsets) (local.get $i)))
      (local.set $sum (i64.const 0))
      (if (i32.ne
            (local.get $from)
            (call $u32 (local.get $offsets) (i32.add (local.get $i) (i32.const 1))))
        (then
          (local.set $sum (i64.load (i32.add (local.get $bytes) (local.get $from))))))
      (i64.store (call $slot (call $u32 (local.get $slots) (local.get $i))) (local.get $sum))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (call $ok))
