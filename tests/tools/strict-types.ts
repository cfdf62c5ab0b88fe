/**
 * Types for a comparison of declarations with what they declare.
 *
 * The compiler lets a method take less than another that it is assigned to, for the sake of arrays. It compares the
 * parameters of functions strictly, so here methods become properties with functions.
 */

/** Types of the platform, which both sides take from the same place. */
type Known =
  | Uint8Array
  | ArrayBuffer
  | AbortSignal
  | Error
  | string
  | number
  | bigint
  | boolean
  | symbol
  | null
  | undefined

/** T with functions in the place of methods, in what they take and return too. Of overloads, the last one is left. */
type Strict<T> = unknown extends T
  ? T
  : T extends Known
    ? T
    : T extends Promise<infer V>
      ? Promise<Strict<V>>
      : T extends AsyncGenerator<infer V, infer R>
        ? AsyncGenerator<Strict<V>, R>
        : T extends Generator<infer V, infer R>
          ? Generator<Strict<V>, R>
          : T extends ReadonlyMap<infer K, infer V>
            ? ReadonlyMap<K, Strict<V>>
            : T extends (...args: infer A) => infer R
              ? (...args: Strict<A>) => Strict<R>
              : T extends new (...args: infer A) => infer R
                ? new (...args: Strict<A>) => Strict<R>
                : { readonly [Key in keyof T]: Strict<T[Key]> }

/** True if a value of the second type can stand for one of the first. */
export type CanStandFor<Declared, There> = Strict<There> extends Strict<Declared> ? true : false

/** Compiles only if what is there can stand for what is declared; `same` returns what it gets. */
export const compareTypes = <Declared, There>(same: (there: Strict<There>) => Strict<Declared>): void => void same
