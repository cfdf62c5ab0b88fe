/** Numbers above 0 and below 1 from a seed, the same each time: Doty-Humphrey's sfc32, 2010. Not for keys. */
const STEPS = 2 ** 32
/** Numbers that are dropped at first, until the seed has reached all bits. */
const WARM_UP = 12

export function seededUniform(seed: number): () => number {
  let [a, b, c, counter] = [0, Math.floor(seed / STEPS) | 0, seed | 0, 1]
  const next = (): number => {
    const sum = (a + b + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return ((sum >>> 0) + 0.5) / STEPS
  }
  for (let i = 0; i < WARM_UP; i += 1) next()
  return next
}
