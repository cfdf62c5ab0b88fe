/** Data that is passed on and never changed. */
export type ReadOnly<T> = { readonly [K in keyof T]: ReadOnly<T[K]> }
