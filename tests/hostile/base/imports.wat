;; The base imports nothing.
