;; Hangs while the host copies arguments in.
;; replaces: realloc
;; refused: the call took longer than 300 ms
(global $heap (mut i32) (i32.const 2097152))
(func $alloc (param $size i32) (result i32)
  (loop $for-ever (br $for-ever))
  unreachable)
(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (call $alloc (local.get 3)))
