;; Describes itself well and hangs later.
;; replaces: join
;; refused: `merge` failed over sample input: the call took longer than 300 ms
(func $join (param $into i64) (param $from i64) (result i64)
  (loop $for-ever (br $for-ever))
  unreachable)
