/** Times in answers: seconds since 1970, with fractions. */
export const secondsOf = (ms: number): number => ms / 1000
