// Which of the two kinds of targets the settings name.
import type { Settings } from '../settings/table.ts'
import type { Target } from './target.ts'

/** The target that the settings name. */
export async function target(settings: Settings): Promise<Target> {
  if (settings.target === 'local') return (await import('./local.ts')).localTarget(settings)
  return (await import('./kubernetes.ts')).kubernetesTarget(settings)
}
