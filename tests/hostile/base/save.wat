;; Eight bytes for each slot that is not 0, else none.
(func (export "weir:metric/metric-api@0.1.0#save") (param $slots i32) (param $slots-len i32) (result i32)
  (local $i i32) (local $m i32) (local $sum i64) (local $r i32)
  (local $offsets i32) (local $bytes i32) (local $len i32)
  (local.set $m (i32.shr_u (local.get $slots-len) (i32.const 2)))
  (local.set $offsets (call $zeroed (i32.add (local.get $slots-len) (i32.const 4))))
  (local.set $bytes (call $alloc (i32.shl (local.get $m) (i32.const 3))))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $m)))
      (local.set $sum (i64.load (call $slot (call $u32 (local.get $slots) (local.get $i)))))
      (if (i64.ne (local.get $sum) (i64.const 0))
        (then
          (i64.store (i32.add (local.get $bytes) (local.get $len)) (local.get $sum))
          (local.set $len (i32.add (local.get $len) (i32.const 8)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (i32.store
        (i32.add (local.get $offsets) (i32.shl (local.get $i) (i32.const 2)))
        (local.get $len))
      (br $next)))
  (local.set $r (call $zeroed (i32.const 20)))
  (i32.store offset=4 (local.get $r) (local.get $offsets))
  (i32.store offset=8 (local.get $r) (i32.add (local.get $slots-len) (i32.const 4)))
  (i32.store offset=12 (local.get $r) (local.get $bytes))
  (i32.store offset=16 (local.get $r) (local.get $len))
  (local.get $r))
