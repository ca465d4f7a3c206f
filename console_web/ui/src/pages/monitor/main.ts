import MonitorPage from './MonitorPage.vue'
import { startPage } from '@/lib/page'

startPage(MonitorPage)
