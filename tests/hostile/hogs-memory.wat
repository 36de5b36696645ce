;; Takes a megabyte with every call until there is no more.
;; replaces: add
;; refused: it asked for more than its 8388608 bytes of memory
(func $add (param $sum i64) (param $more i64) (result i64)
  (if (i32.eq (memory.grow (i32.const 16)) (i32.const -1)) (then unreachable))
  (i64.add (local.get $sum) (local.get $more)))
