;; Says that it watches `v` and takes every change.
;; replaces: is-new
;; refused: breaks a law: an update in which no watched field changed gives no sample
(func $is-new (param $had i32) (param $has i32) (param $was i64) (param $is i64) (result i32)
  (local.get $has))
