;; A sample for each row whose `v` is new: its time is the event's, its value `v`.
(func (export "weir:metric/metric-api@0.1.0#observe")
  (param $input i32) (param $n i32)
  (param $has-before i32) (param $has-before-len i32)
  (param $has-after i32) (param $has-after-len i32)
  (param $event-times i32) (param $event-times-len i32)
  (param $before i32) (param $before-len i32)
  (param $after i32) (param $after-len i32)
  (param $dictionaries i32) (param $dictionaries-len i32)
  (result i32)
  (local $i i32) (local $m i32) (local $rows i32) (local $times i32) (local $values i32)
  (local.set $rows (call $alloc (i32.shl (local.get $n) (i32.const 2))))
  (local.set $times (call $alloc (i32.shl (local.get $n) (i32.const 3))))
  (local.set $values (call $alloc (i32.shl (local.get $n) (i32.const 3))))
  ;; From here on before and after are the values of `v`.
  (local.set $before (i32.load offset=8 (local.get $before)))
  (local.set $after (i32.load offset=8 (local.get $after)))
  (block $done
    (loop $next
      (br_if $done (i32.ge_u (local.get $i) (local.get $n)))
      (if (call $is-new
            (call $bit (local.get $has-before) (local.get $has-before-len) (local.get $i))
            (call $bit (local.get $has-after) (local.get $has-after-len) (local.get $i))
            (call $i64 (local.get $before) (local.get $i))
            (call $i64 (local.get $after) (local.get $i)))
        (then
          (i32.store
            (i32.add (local.get $rows) (i32.shl (local.get $m) (i32.const 2)))
            (local.get $i))
          (i64.store
            (i32.add (local.get $times) (i32.shl (local.get $m) (i32.const 3)))
            (call $i64 (local.get $event-times) (local.get $i)))
          (i64.store
            (i32.add (local.get $values) (i32.shl (local.get $m) (i32.const 3)))
            (call $i64 (local.get $after) (local.get $i)))
          (local.set $m (i32.add (local.get $m) (i32.const 1)))))
      (local.set $i (i32.add (local.get $i) (i32.const 1)))
      (br $next)))
  (call $samples (local.get $m) (local.get $rows) (local.get $times) (local.get $values)))
