/** The annotation of a workload that holds what it was before switch-dev. */
export const PRODUCTION = 'hotswap-dev/production'
