/** The region that a store shows, in ARNs and in what clients sign, unless its operator has chosen one. */
export const REGION_DEFAULT = "us-east-1"
