;; Whether a row gives a sample.
(func $is-new (param $had i32) (param $has i32) (param $was i64) (param $is i64) (result i32)
  (i32.and
    (local.get $has)
    (i32.or (i32.eqz (local.get $had)) (i64.ne (local.get $was) (local.get $is)))))
