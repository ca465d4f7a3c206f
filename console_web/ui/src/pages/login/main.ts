import LoginPage from './LoginPage.vue'
import { startPage } from '@/lib/page'

startPage(LoginPage, { live: false })
