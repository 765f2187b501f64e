;; What takes nearly all of the time: the one product that linear layers, convolutions and attention come down to, and the
;; exponential functions of softmax and GELU, four numbers at a time.
;;
;; C = A W + bias
;;
;;   A     n rows of k numbers
;;   W     k x m, cut into panels of 8 columns: panel j holds W[0..k, 8j..8j+8] row by row, and begins `stride` bytes after j - 1
;;   bias  m numbers
;;   C     n rows of m numbers
;;   room  where W is float16: place for one panel as float32, to which each is widened when its turn comes; 0 where W is float32
;;
;; All else is float32. n is a multiple of 4 and m of 8: whoever calls pads. A tile of 4 rows x 8 columns of C stays in eight vector
;; registers while the loop runs over k, so that every number loaded is used four or eight times.
(module
  (memory (import "engine" "memory") 1)

  ;; Four float16 in 32 bits each, as float32. Exponent and fraction move to their places, times 2^112 for the other bias of the
  ;; exponent: exact for all finite numbers, the smallest ones too. Then the sign.
  (func $widened (param $x v128) (result v128)
    (v128.or
      (f32x4.mul
        (i32x4.shl (v128.and (local.get $x) (v128.const i32x4 0x7fff 0x7fff 0x7fff 0x7fff)) (i32.const 13))
        (v128.const i32x4 0x77800000 0x77800000 0x77800000 0x77800000))
      (i32x4.shl (v128.and (local.get $x) (v128.const i32x4 0x8000 0x8000 0x8000 0x8000)) (i32.const 16))))

  ;; A panel of k rows of 8 float16, as float32.
  (func $widen (param $from i32) (param $to i32) (param $k i32)
    (local $x v128)
    (loop $rows
      (local.set $x (v128.load (local.get $from)))
      (v128.store (local.get $to) (call $widened (i32x4.extend_low_i16x8_u (local.get $x))))
      (v128.store offset=16 (local.get $to) (call $widened (i32x4.extend_high_i16x8_u (local.get $x))))
      (local.set $from (i32.add (local.get $from) (i32.const 16)))
      (local.set $to (i32.add (local.get $to) (i32.const 32)))
      (br_if $rows (local.tee $k (i32.sub (local.get $k) (i32.const 1))))))

  (func (export "product")
    (param $A i32) (param $W i32) (param $bias i32) (param $C i32) (param $n i32) (param $k i32) (param $m i32) (param $stride i32)
    (param $room i32)
    (local $panel i32)
    (local $i i32) (local $j i32) (local $p i32)        ;; row, column, step along k
    (local $row i32) (local $width i32)                 ;; bytes of a row of A, and of C
    (local $w i32) (local $c i32)
    (local $a0 i32) (local $a1 i32) (local $a2 i32) (local $a3 i32)
    (local $left v128) (local $right v128) (local $x v128)
    (local $l0 v128) (local $l1 v128) (local $l2 v128) (local $l3 v128)   ;; columns 0 to 3 of the four rows
    (local $r0 v128) (local $r1 v128) (local $r2 v128) (local $r3 v128)   ;; columns 4 to 7
    (local.set $row (i32.shl (local.get $k) (i32.const 2)))
    (local.set $width (i32.shl (local.get $m) (i32.const 2)))
    (loop $columns
      (local.set $panel (local.get $W))
      (if (local.get $room) (then
        (call $widen (local.get $W) (local.get $room) (local.get $k))
        (local.set $panel (local.get $room))))
      (local.set $i (i32.const 0))
      (loop $rows
        (local.set $w (local.get $panel))
        (local.set $a0 (i32.add (local.get $A) (i32.mul (local.get $i) (local.get $row))))
        (local.set $a1 (i32.add (local.get $a0) (local.get $row)))
        (local.set $a2 (i32.add (local.get $a1) (local.get $row)))
        (local.set $a3 (i32.add (local.get $a2) (local.get $row)))
        ;; every row starts at the bias
        (local.set $c (i32.add (local.get $bias) (i32.shl (local.get $j) (i32.const 2))))
        (local.set $l0 (v128.load (local.get $c)))
        (local.set $r0 (v128.load offset=16 (local.get $c)))
        (local.set $l1 (local.get $l0)) (local.set $l2 (local.get $l0)) (local.set $l3 (local.get $l0))
        (local.set $r1 (local.get $r0)) (local.set $r2 (local.get $r0)) (local.set $r3 (local.get $r0))
        (local.set $p (local.get $k))
        (loop $along
          (local.set $left (v128.load (local.get $w)))
          (local.set $right (v128.load offset=16 (local.get $w)))
          (local.set $x (v128.load32_splat (local.get $a0)))
          (local.set $l0 (f32x4.add (local.get $l0) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r0 (f32x4.add (local.get $r0) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $x (v128.load32_splat (local.get $a1)))
          (local.set $l1 (f32x4.add (local.get $l1) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r1 (f32x4.add (local.get $r1) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $x (v128.load32_splat (local.get $a2)))
          (local.set $l2 (f32x4.add (local.get $l2) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r2 (f32x4.add (local.get $r2) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $x (v128.load32_splat (local.get $a3)))
          (local.set $l3 (f32x4.add (local.get $l3) (f32x4.mul (local.get $x) (local.get $left))))
          (local.set $r3 (f32x4.add (local.get $r3) (f32x4.mul (local.get $x) (local.get $right))))
          (local.set $a0 (i32.add (local.get $a0) (i32.const 4)))
          (local.set $a1 (i32.add (local.get $a1) (i32.const 4)))
          (local.set $a2 (i32.add (local.get $a2) (i32.const 4)))
          (local.set $a3 (i32.add (local.get $a3) (i32.const 4)))
          (local.set $w (i32.add (local.get $w) (i32.const 32)))
          (br_if $along (local.tee $p (i32.sub (local.get $p) (i32.const 1)))))
        (local.set $c (i32.add (local.get $C)
          (i32.add (i32.mul (local.get $i) (local.get $width)) (i32.shl (local.get $j) (i32.const 2)))))
        (v128.store (local.get $c) (local.get $l0))
        (v128.store offset=16 (local.get $c) (local.get $r0))
        (local.set $c (i32.add (local.get $c) (local.get $width)))
        (v128.store (local.get $c) (local.get $l1))
        (v128.store offset=16 (local.get $c) (local.get $r1))
        (local.set $c (i32.add (local.get $c) (local.get $width)))
        (v128.store (local.get $c) (local.get $l2))
        (v128.store offset=16 (local.get $c) (local.get $r2))
        (local.set $c (i32.add (local.get $c) (local.get $width)))
        (v128.store (local.get $c) (local.get $l3))
        (v128.store offset=16 (local.get $c) (local.get $r3))
        (br_if $rows (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 4))) (local.get $n))))
      (local.set $W (i32.add (local.get $W) (local.get $stride)))
      (br_if $columns (i32.lt_u (local.tee $j (i32.add (local.get $j) (i32.const 8))) (local.get $m)))))

  ;; e^x of four numbers, those beyond -87 and 88 taken as these. x = n ln 2 + r with n whole and |r| <= ln 2 / 2, so that
  ;; e^x = 2^n e^r: the power is n in the exponent's place, and e^r its series, 1 + r + r^2 / 2! + ... + r^7 / 7!
  (func $exp (param $x v128) (result v128)
    (local $n v128) (local $r v128)
    (local.set $x (f32x4.min (f32x4.max (local.get $x) (v128.const f32x4 -87 -87 -87 -87)) (v128.const f32x4 88 88 88 88)))
    (local.set $n (f32x4.nearest
      (f32x4.mul (local.get $x) (v128.const f32x4 1.442695041 1.442695041 1.442695041 1.442695041))))
    ;; ln 2 in two parts: n times the first, 355 / 512, is exact
    (local.set $r (f32x4.sub
      (f32x4.sub (local.get $x) (f32x4.mul (local.get $n) (v128.const f32x4 0.693359375 0.693359375 0.693359375 0.693359375)))
      (f32x4.mul (local.get $n) (v128.const f32x4 -2.12194440e-4 -2.12194440e-4 -2.12194440e-4 -2.12194440e-4))))
    (local.set $x (v128.const f32x4 1.98412698e-4 1.98412698e-4 1.98412698e-4 1.98412698e-4)) ;; 1 / 7!
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 1.38888889e-3)))
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 8.33333333e-3)))
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 4.16666667e-2)))
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 1.66666667e-1)))
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 0.5)))
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 1)))
    (local.set $x (call $along (local.get $x) (local.get $r) (f32.const 1)))
    (f32x4.mul (local.get $x)
      (i32x4.shl
        (i32x4.add (i32x4.trunc_sat_f32x4_s (local.get $n)) (v128.const i32x4 127 127 127 127))
        (i32.const 23))))

  ;; One step along a series (Horner): s r + c.
  (func $along (param $s v128) (param $r v128) (param $c f32) (result v128)
    (f32x4.add (f32x4.mul (local.get $s) (local.get $r)) (f32x4.splat (local.get $c))))

  ;; x = e^(x - most), for n numbers; n is a multiple of 4.
  (func (export "exponentials") (param $x i32) (param $n i32) (param $most f32)
    (loop $four
      (v128.store (local.get $x) (call $exp (f32x4.sub (v128.load (local.get $x)) (f32x4.splat (local.get $most)))))
      (local.set $x (i32.add (local.get $x) (i32.const 16)))
      (br_if $four (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 4))) (i32.const 0)))))

  ;; x = GELU(x) by its tanh formula, for n numbers; n is a multiple of 4: x / (1 + e^(-2 sqrt(2 / pi) (x + 0.044715 x^3))).
  (func (export "gelu") (param $x i32) (param $n i32)
    (local $v v128) (local $u v128)
    (loop $four
      (local.set $v (v128.load (local.get $x)))
      (local.set $u (call $along
        (f32x4.mul (local.get $v) (v128.const f32x4 0.044715 0.044715 0.044715 0.044715)) (local.get $v) (f32.const 1)))
      (local.set $u (f32x4.mul (f32x4.mul (local.get $u) (local.get $v))
        (v128.const f32x4 -1.595769122 -1.595769122 -1.595769122 -1.595769122)))
      (v128.store (local.get $x)
        (f32x4.div (local.get $v) (f32x4.add (call $exp (local.get $u)) (v128.const f32x4 1 1 1 1))))
      (local.set $x (i32.add (local.get $x) (i32.const 16)))
      (br_if $four (i32.gt_s (local.tee $n (i32.sub (local.get $n) (i32.const 4))) (i32.const 0)))))
)
