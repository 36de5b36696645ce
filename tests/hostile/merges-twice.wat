;; What is merged counts twice.
;; replaces: join
;; refused: breaks a law: merge is associative
(func $join (param $into i64) (param $from i64) (result i64)
  (i64.add (local.get $into) (i64.mul (local.get $from) (i64.const 2))))
