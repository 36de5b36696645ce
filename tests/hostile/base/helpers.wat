;; ok(()) of a `result<_, string>`.
(func $ok (result i32)
  (local $r i32)
  (local.set $r (call $alloc (i32.const 12)))
  (i32.store (local.get $r) (i32.const 0))
  (local.get $r))

;; Where the sum of a slot stands.
(func $slot (param $n i32) (result i32)
  (i32.add (i32.const 1048576) (i32.shl (local.get $n) (i32.const 3))))

;; The i-th entry of a packed u32 list, and of a packed i64 list.
(func $u32 (param $list i32) (param $i i32) (result i32)
  (i32.load (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 2)))))
(func $i64 (param $list i32) (param $i i32) (result i64)
  (i64.load (i32.add (local.get $list) (i32.shl (local.get $i) (i32.const 3)))))

;; Bit i of a bit list; an empty one is all ones.
(func $bit (param $bits i32) (param $len i32) (param $i i32) (result i32)
  (if (result i32) (local.get $len)
    (then
      (i32.and
        (i32.shr_u
          (i32.load8_u (i32.add (local.get $bits) (i32.shr_u (local.get $i) (i32.const 3))))
          (i32.and (local.get $i) (i32.const 7)))
        (i32.const 1)))
    (else (i32.const 1))))

;; A column without nulls and offsets, and an empty dictionary, in lists of one.
(func $column (param $values i32) (param $len i32) (result i32)
  (local $c i32)
  (local.set $c (call $zeroed (i32.const 24)))
  (i32.store offset=8 (local.get $c) (local.get $values))
  (i32.store offset=12 (local.get $c) (local.get $len))
  (local.get $c))
(func $zeroed (param $size i32) (result i32)
  (local $at i32)
  (local.set $at (call $alloc (local.get $size)))
  (memory.fill (local.get $at) (i32.const 0) (local.get $size))
  (local.get $at))

;; `samples` of m rows; times may be 0 for none.
(func $samples (param $m i32) (param $rows i32) (param $times i32) (param $values i32) (result i32)
  (local $r i32)
  (local.set $r (call $zeroed (i32.const 84)))
  (i32.store offset=4 (local.get $r) (local.get $rows))
  (i32.store offset=8 (local.get $r) (i32.shl (local.get $m) (i32.const 2)))
  (if (local.get $times) (then
    (i32.store offset=28 (local.get $r) (local.get $times))
    (i32.store offset=32 (local.get $r) (i32.shl (local.get $m) (i32.const 3)))))
  (i32.store offset=52 (local.get $r)
    (call $column (local.get $values) (i32.shl (local.get $m) (i32.const 3))))
  (i32.store offset=56 (local.get $r) (i32.const 1))
  (i32.store offset=68 (local.get $r) (call $zeroed (i32.const 16)))
  (i32.store offset=72 (local.get $r) (i32.const 1))
  (local.get $r))
