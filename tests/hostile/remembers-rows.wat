;; Takes every second new value: what a row gives depends on those before.
;; replaces: is-new
;; refused: breaks a law: observe is a pure function of its rows
(global $seen (mut i32) (i32.const 0))
(func $is-new (param $had i32) (param $has i32) (param $was i64) (param $is i64) (result i32)
  (global.set $seen (i32.add (global.get $seen) (i32.const 1)))
  (i32.and
    (i32.and (local.get $has) (i32.and (global.get $seen) (i32.const 1)))
    (i32.or (i32.eqz (local.get $had)) (i64.ne (local.get $was) (local.get $is)))))
