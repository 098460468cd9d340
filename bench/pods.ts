// The pods of the service: their manifest, and what they answer.
import { get } from 'node:http'

/** The time at which a pod first answers so, within `limit` seconds. Asks every 20 ms, on a connection of its own each time. */
export async function answered(url: string, answer: string, limit: number): Promise<number> {
  const end = performance.now() + limit * 1000
  while (performance.now() < end) {
    const body = await new Promise<string>((resolve) => {
      const request = get(url, { agent: false, timeout: 1000 }, (response) => {
        let text = ''
        response.setEncoding('utf8').on('data', (part: string) => (text += part))
        response.on('end', () => resolve(text)).on('error', () => resolve(''))
      })
      request.on('timeout', () => request.destroy()).on('error', () => resolve(''))
    })
    if (body !== '' && (answer === '' || body.trim() === answer)) return performance.now()
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`${url} never answered "${answer}"`)
}

/** The manifest of the service. */
export function deployment(name: string, image: string, command: readonly string[], replicas = 1): string {
  return `apiVersion: apps/v1
kind: Deployment
metadata:
  name: ${name}
spec:
  replicas: ${replicas}
  selector: {matchLabels: {app: ${name}}}
  template:
    metadata:
      labels: {app: ${name}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - name: service
          image: ${image}
          imagePullPolicy: IfNotPresent
          command: ${JSON.stringify(command)}
`
}
